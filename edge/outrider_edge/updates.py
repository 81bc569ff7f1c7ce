"""Updates of a device's draft: a step when asked for one, or a thread that takes them in the
background.

It joins a channel, the store and the updater, and sees to it that every byte is accounted for.
"""

import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from queue import Empty, SimpleQueue
from typing import Final

from outrider_edge.errors import EdgeError
from outrider_edge.ledger import Account, Ledger, Meter
from outrider_edge.releases.catalogue import known_version
from outrider_edge.releases.channel import Quiet, opened
from outrider_edge.releases.cloud_channel import CloudChannel
from outrider_edge.releases.ear import Ear
from outrider_edge.releases.follower import Follower, Rhythm
from outrider_edge.releases.holds import Surroundings
from outrider_edge.releases.installer import Told
from outrider_edge.releases.recent import RecentAnswers
from outrider_edge.releases.settings import CLOUD, UpdateSettings
from outrider_edge.releases.step import Phase, Step
from outrider_edge.releases.store import DraftStore
from outrider_edge.releases.updater import Updater

_LISTEN_S: Final = 0.2
_SPREAD: Final = 0.1  # of a pause, over which devices come after news


class Updates:
    """Steps of one device; any process may make one, one at a time makes them."""

    def __init__(self, settings: UpdateSettings, meter: Meter, ledger: Ledger) -> None:
        self._settings, self._meter = settings, meter
        self._account = Account(meter, ledger)
        following = settings.following
        self._recent = RecentAnswers(following.recent_file, following.recent)
        self._stop = threading.Event()

    def step(self, told: Callable[[Phase], None], progress: Told, held: str | None = None) -> Step:
        """Open the channel and do what there is to do. Raises what `Updater.step` and the channel
        raise. `held`: see there.
        """
        following = self._settings.following
        ended = "failed"
        try:
            with self._account.kept(), self._opened() as channel:
                step = Updater(
                    self._store,
                    self._recent,
                    channel,
                    line=following.line,
                    root=following.root_bytes(),
                    threads=self._settings.threads,
                ).step(told, progress, held)
            ended = step.state.value
            return step
        finally:
            self._account.record(ended)

    def follow(self, stop: threading.Event, told: Callable[[str], None]) -> None:
        """Take steps, now and then and when there is news, until told to stop."""
        ear = Ear(self._opened, lambda: known_version(self._store.metadata), stop)
        follower = Follower(
            step=lambda: self._next(ear),
            rhythm=Rhythm(every_s=self._settings.following.every_s),
            chance=random.random,
            told=told,
        )
        with closing(ear):
            with suppress(EdgeError):  # the first step meets it too, and it is told
                self._hear(ear)
            follower.run(_Wait(stop, ear.news))
        self._account.record("listening")

    def _next(self, ear: Ear) -> Step:
        """Where the channel could not be opened until now, perhaps it can."""
        self._hear(ear)
        return self.step(lambda phase: None, _unseen, self._held())

    def _hear(self, ear: Ear) -> None:
        """A cloud says when there is something new; other channels say nothing."""
        settings = self._settings
        if settings.following.channel == CLOUD and not settings.local_only:
            ear.listen()

    def _opened(self) -> AbstractContextManager[CloudChannel | Quiet]:
        settings = self._settings
        return opened(
            settings.following, settings.cloud, self._meter, local_only=settings.local_only
        )

    @property
    def _store(self) -> DraftStore:
        """The draft that the program came with may be exchanged while this process runs."""
        return DraftStore(self._settings.following.folder, self._settings.factory)

    def _held(self) -> str | None:
        following = self._settings.following
        return Surroundings.now(following.metered).hold(
            even_metered=following.even_metered,
            even_on_battery=following.even_on_battery,
        )

    def follow_until(self, stop: threading.Event, told: Callable[[str], None]) -> bool:
        """Follow until `stop` is set, whatever is under way then; False if it ended by itself.

        `told` is called here, so what it raises ends it.
        """
        said: SimpleQueue[str] = SimpleQueue()
        with closing(self):
            thread = self.start(said.put)
            while not stop.is_set() and thread.is_alive():
                with suppress(Empty):
                    told(said.get(timeout=_LISTEN_S))
        return stop.is_set()

    def start(self, told: Callable[[str], None]) -> threading.Thread:
        """Follow in a thread of its own, until `close`."""
        thread = threading.Thread(
            target=self.follow, args=(self._stop, told), name="outrider-updates", daemon=True
        )
        thread.start()
        return thread

    def close(self) -> None:
        """No step begins any more. One that is under way is not waited for: the next process goes
        on where it is.
        """
        self._stop.set()
        self._account.record("closed")


class _Wait:
    """Until it is time, or a while after news, as all devices hear them at once; news that never
    end bring at most ten looks in the time of one.
    """

    def __init__(self, stop: threading.Event, news: threading.Event) -> None:
        self._stop, self._news = stop, news
        self._not_before_s = 0.0  # that the next early look may come

    def __call__(self, seconds: float, /) -> bool:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            if self._stop.wait(min(left_s, _LISTEN_S)):
                return True
            now_s = time.monotonic()
            if self._news.is_set() and now_s >= self._not_before_s:
                self._news.clear()
                self._not_before_s = now_s + _SPREAD * seconds
                late_s = _SPREAD * seconds * random.random()  # noqa: S311 - no secret
                until_s = min(until_s, now_s + late_s)
        return self._stop.is_set()


def _unseen(there: int, of: int) -> None:
    """Nobody watches."""
