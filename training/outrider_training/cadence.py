"""When an online run updates: after so many answers, or when the draft is accepted less and less.

Pure; it knows neither models nor clocks.
"""

from collections import deque
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """`every` and `fall` may both be given: the first to be due counts."""

    every: int | None = 32  # answers
    fall: float | None = None  # of the mean acceptance below its best, at least
    window: int = 50  # answers in that mean
    fewest: int = 8  # answers between updates that a fall calls for


class Cadence:
    """Tell it of every answer."""

    def __init__(self, rhythm: Rhythm) -> None:
        self._rhythm = rhythm
        self._recent: deque[float] = deque(maxlen=rhythm.window)
        self._best = 0.0
        self._since = 0

    @property
    def acceptance(self) -> float | None:
        """The mean of the last answers."""
        return fmean(self._recent) if self._recent else None

    def answered(self, acceptance: float | None) -> None:
        """One more answer; None where nothing was proposed in time."""
        self._since += 1
        if acceptance is None:
            return
        self._recent.append(acceptance)
        if len(self._recent) >= self._rhythm.fewest:
            self._best = max(self._best, fmean(self._recent))

    def due(self) -> str | None:
        """Why an update should be made now, if it should."""
        rhythm = self._rhythm
        if rhythm.every is not None and self._since >= rhythm.every:
            return f"{self._since} answers"
        now = self.acceptance
        if rhythm.fall is None or now is None or self._since < rhythm.fewest:
            return None
        if now <= self._best - rhythm.fall:
            return f"acceptance fell from {self._best:.2f} to {now:.2f}"
        return None

    def updated(self) -> None:
        """An update was made: what came before it says nothing about the new draft."""
        self._since = 0
        self._recent.clear()
