"""Seconds of one forward by the number of rows it feeds: measured counts, straight lines between.

It does not know which model, nor who measured.
"""

from bisect import bisect_left
from collections.abc import Mapping


class StepTimes:
    """Past the largest measured count the last line goes on; below the smallest it is flat."""

    def __init__(self, measured: Mapping[int, float]) -> None:
        """`measured` gives seconds by rows. Raises ValueError without rows or with bad numbers."""
        if not measured or min(measured) < 1 or min(measured.values()) < 0:
            raise ValueError(f"not a table of seconds by rows: {dict(measured)}")
        self.measured = dict(sorted(measured.items()))
        self._rows = list(self.measured)
        self._known: dict[int, float] = {}

    def __getitem__(self, rows: int) -> float:
        if rows not in self._known:
            self._known[rows] = self._between(rows)
        return self._known[rows]

    def _between(self, rows: int) -> float:
        if len(self._rows) == 1 or rows <= self._rows[0]:
            return self.measured[self._rows[0]]
        right = min(max(bisect_left(self._rows, rows), 1), len(self._rows) - 1)
        low, high = self._rows[right - 1], self._rows[right]
        slope = (self.measured[high] - self.measured[low]) / (high - low)
        return max(0.0, self.measured[low] + slope * (rows - low))

    def mean(self, other: "StepTimes") -> "StepTimes":
        """Of two measurements of the same counts. Raises KeyError if they are not."""
        return StepTimes({n: (s + other.measured[n]) / 2 for n, s in self.measured.items()})

    def longer(self, extra_s: float) -> "StepTimes":
        """The same with every forward longer by so much."""
        return StepTimes({rows: seconds + extra_s for rows, seconds in self.measured.items()})
