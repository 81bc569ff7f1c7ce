"""Which thresholds are worth having: fewer differences from the target against fewer cloud calls.

Pure arithmetic over measured points; where they come from is `calibrate`'s business.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_EQUAL: Final = 0.05  # calls a token that repeat themselves by chance differ by so much


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Big-Little with one pair of thresholds, measured on all prompts."""

    fallback: float
    rollback: float
    disagreement: float  # share of tokens that are not the target's choice
    accuracy: float | None  # share of right answers, where answers are known
    calls_per_token: float  # target passes
    bytes_per_token: float
    tokens_per_s: float


def closest_first(points: Iterable[Point]) -> list[Point]:
    """By disagreement, then calls, then bytes."""
    return sorted(
        points, key=lambda p: (p.disagreement, p.calls_per_token, p.bytes_per_token, p.rollback)
    )


def frontier(points: Iterable[Point]) -> list[Point]:
    """Those that no other beats in calls without more disagreement, the closest to exact first."""
    best: list[Point] = []
    for point in closest_first(points):
        if not best or point.calls_per_token < best[-1].calls_per_token:
            best.append(point)
    return best


def cheapest(points: Sequence[Point], max_disagreement: float) -> Point | None:
    """The fewest calls within the allowance; None if no point keeps to it.

    When a draft goes on depends on when verdicts arrive, so equal thresholds do not make equally
    many calls twice. Of points that are as good as equal the most careful one is chosen: the one
    that is rolled back soonest, then the one that asks soonest.
    """
    allowed = [point for point in points if point.disagreement <= max_disagreement]
    fewest = min((point.calls_per_token for point in allowed), default=0.0)
    equal = [point for point in allowed if point.calls_per_token <= fewest * (1 + _EQUAL)]
    return min(equal, key=lambda point: (point.rollback, -point.fallback), default=None)
