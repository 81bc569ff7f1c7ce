"""Hearing of news: a thread that listens to a channel for as long as that is followed.

It knows neither what is new nor what is done about it.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Final, TypeAlias

from outrider_edge.errors import EdgeError
from outrider_edge.releases.channel import Quiet
from outrider_edge.releases.cloud_channel import CloudChannel

_LEAVE_S: Final = 5.0
_DEAF_S: Final = 10.0  # between two tries to hear news

_Channel: TypeAlias = CloudChannel | Quiet


class Ear:
    """`news` is set whenever there is something new. `known` gives the version that is not."""

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[_Channel]],
        known: Callable[[], int],
        stop: threading.Event,
    ) -> None:
        self.news = threading.Event()
        self._opened, self._known, self._stop = opened, known, stop
        self._open = ExitStack()
        self._thread: threading.Thread | None = None

    def listen(self) -> None:
        """From now on, if it does not yet. Raises what the functions raise."""
        if self._thread is None:
            known = self._known()
            channel = self._open.enter_context(self._opened())
            self._thread = threading.Thread(target=self._listen, args=(channel, known), daemon=True)
            self._thread.start()

    def close(self) -> None:
        """The thread ends with its channel: nobody waits for a late word."""
        self._open.close()
        if self._thread is not None:
            self._thread.join(_LEAVE_S)

    def _listen(self, channel: _Channel, known: int) -> None:
        while not self._stop.is_set():
            try:
                for version in channel.news(known):
                    known = version
                    self.news.set()
            except EdgeError:
                pass  # another time
            self._stop.wait(_DEAF_S)
