"""How much of the last while the engine computed: what is left is for others, such as a trainer.

Time is given, never asked for. One thread begins and ends, any may ask.
"""

import threading
from typing import Final

WINDOW_S: Final = 30


class Load:
    """Remembers so many whole seconds, and the one under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began_s: float | None = None
        self._busy: dict[int, float] = {}  # by whole second: the part of it that was busy

    def begin(self, now_s: float) -> None:
        """The engine starts to compute."""
        with self._lock:
            self._began_s = now_s

    def end(self, now_s: float) -> None:
        """It has finished."""
        with self._lock:
            if self._began_s is not None:
                self._add(self._began_s, now_s)
            self._began_s = None

    def busy(self, now_s: float) -> float:
        """The share of the last WINDOW_S seconds; work under way counts."""
        with self._lock:
            if self._began_s is not None:
                self._add(self._began_s, now_s)
                self._began_s = max(self._began_s, now_s)
            self._forget(now_s)
            return min(1.0, sum(self._busy.values()) / WINDOW_S)

    def _add(self, begin_s: float, end_s: float) -> None:
        begin_s = max(begin_s, end_s - WINDOW_S)
        while begin_s < end_s:
            second = int(begin_s)
            until_s = min(end_s, second + 1.0)
            self._busy[second] = self._busy.get(second, 0.0) + until_s - begin_s
            begin_s = until_s
        self._forget(end_s)

    def _forget(self, now_s: float) -> None:
        for second in [s for s in self._busy if s + 1 <= now_s - WINDOW_S]:
            del self._busy[second]
