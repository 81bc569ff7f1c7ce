"""Times of the same answers, taken again and again, and what they say about two ways to make them.

Knows numbers only.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio with the 95 % interval of a bootstrap over the repetitions."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(slots=True)
class Samples:
    """Seconds of every repetition by answer."""

    seconds: dict[int, list[float]] = field(default_factory=dict)

    def add(self, answer: int, seconds: float) -> None:
        self.seconds.setdefault(answer, []).append(seconds)

    @property
    def total_s(self) -> float:
        """All answers once, each in its median time."""
        return sum(median(taken) for taken in self.seconds.values())

    def resampled_s(self, chance: random.Random) -> float:
        """The same, of repetitions drawn again with replacement."""
        return _total(self.seconds, chance)


def speedup(slower: Samples, faster: Samples, seed: int = 0) -> Ratio:
    """How many times as fast `faster` is. Raises ValueError if they made different answers."""
    if slower.seconds.keys() != faster.seconds.keys() or not slower.seconds:
        raise ValueError("the two must have made the same answers")
    chance = random.Random(seed)
    drawn = [slower.resampled_s(chance) / faster.resampled_s(chance) for _ in range(_RESAMPLES)]
    return _ratio(slower.total_s / faster.total_s, drawn)


def share_of(ideal_s: float, measured: Samples, seed: int = 0) -> Ratio:
    """A known time over the measured one: 1 where the ideal is reached."""
    chance = random.Random(seed)
    drawn = [ideal_s / measured.resampled_s(chance) for _ in range(_RESAMPLES)]
    return _ratio(ideal_s / measured.total_s, drawn)


def ratio_of_medians(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """Of steps that are all alike. Raises ValueError where one side is empty."""
    if not over or not under:
        raise ValueError("a ratio needs measurements on both sides")
    return speedup(Samples({0: list(over)}), Samples({0: list(under)}))


def _total(seconds: Mapping[int, Sequence[float]], chance: random.Random) -> float:
    return sum(median(chance.choices(taken, k=len(taken))) for taken in seconds.values())


def _ratio(value: float, drawn: list[float]) -> Ratio:
    drawn.sort()
    return Ratio(value, drawn[int(0.025 * len(drawn))], drawn[int(0.975 * len(drawn)) - 1])
