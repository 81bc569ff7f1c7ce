"""When an online run updates: after so many answers, when the draft is accepted less and less,
when the cloud has little to do, or after so long.

Pure; it knows no models, and is told the time.
"""

from collections import deque
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Of `every`, `fall`, `idle` and `schedule_s` several may be given: the first due counts."""

    every: int | None = 32  # answers
    fall: float | None = None  # of the mean acceptance below its best, at least
    idle: float | None = None  # share of its time that the cloud computes, at most
    schedule_s: float | None = None  # since the last update, if there were answers
    window: int = 50  # answers in that mean
    fewest: int = 8  # answers between updates that a fall or idleness calls for


@dataclass(frozen=True, slots=True)
class Due:
    """An update should be made now."""

    reason: str
    idle: bool = False  # the cloud has time to spare


class Cadence:
    """Tell it of every answer."""

    def __init__(self, rhythm: Rhythm) -> None:
        self._rhythm = rhythm
        self._recent: deque[float] = deque(maxlen=rhythm.window)
        self._best = 0.0
        self._since = 0
        self._updated_s: float | None = None

    def answered(self, acceptance: float | None) -> None:
        """One more answer; None where nothing was proposed in time."""
        self._since += 1
        if acceptance is None:
            return
        self._recent.append(acceptance)
        if len(self._recent) >= self._rhythm.fewest:
            self._best = max(self._best, fmean(self._recent))

    def due(self) -> Due | None:
        """After an answer: whether it calls for an update."""
        rhythm = self._rhythm
        if rhythm.every is not None and self._since >= rhythm.every:
            return Due(f"{self._since} answers")
        if rhythm.fall is None or not self._recent or self._since < rhythm.fewest:
            return None
        now = fmean(self._recent)
        if now <= self._best - rhythm.fall:
            return Due(f"acceptance fell from {self._best:.2f} to {now:.2f}")
        return None

    @property
    def waits_for_idleness(self) -> bool:
        """Whether it matters how busy the cloud is."""
        return self._rhythm.idle is not None and self._since >= self._rhythm.fewest

    def spare(self, busy: float | None) -> Due | None:
        """When all answers are taken in: whether a cloud as busy as that calls for an update."""
        idle = self._rhythm.idle
        if idle is None or busy is None or busy > idle or not self.waits_for_idleness:
            return None
        return Due(f"the cloud is busy {busy:.0%} of the time", idle=True)

    def scheduled(self, now_s: float) -> Due | None:
        """When all answers are taken in: whether it is time."""
        if self._updated_s is None:
            self._updated_s = now_s
        schedule_s = self._rhythm.schedule_s
        if schedule_s is None or not self._since or now_s - self._updated_s < schedule_s:
            return None
        return Due(f"{now_s - self._updated_s:.0f} s")

    def updated(self, now_s: float) -> None:
        """An update was made: what came before it says nothing about the new draft.

        Half of what was lost is not expected back: a harder domain is no fall for ever.
        """
        if self._recent:
            self._best = (self._best + min(self._best, fmean(self._recent))) / 2
        self._since = 0
        self._updated_s = now_s
        self._recent.clear()
