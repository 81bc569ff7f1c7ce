"""What judging costs and what it brings, both measured as the cloud runs.

`VerifyCost` learns the time of a forward by its rows, `Acceptance` how often a proposal of one
session is right. Neither knows a clock: they are told.
"""

from dataclasses import dataclass

from outrider_cloud.trie import Comparison


@dataclass(frozen=True, slots=True)
class Line:
    """A forward's time: `fixed_s + slope_s * rows`."""

    fixed_s: float
    slope_s: float

    def at(self, rows: int) -> float:
        return self.fixed_s + self.slope_s * rows


class VerifyCost:
    """Least squares over past forwards, older ones counting exponentially less."""

    _MEMORY = 0.99  # weight of one forward by the time of the next
    _LEAST_SPREAD = 4.0  # in squared rows: with less the slope counts as unknown
    _GUESS = 0.02  # an unknown slope over the time of a mean forward

    def __init__(self) -> None:
        self._weight = 0.0
        self._rows = 1.0  # means
        self._time_s = 1.0
        self._spread = 0.0  # sum of squared differences of rows, and of rows by seconds
        self._joint = 0.0

    def observe(self, rows: int, elapsed_s: float) -> None:
        """A forward of `rows` rows without prompts took so long."""
        self._weight = self._weight * self._MEMORY + 1.0
        ahead = rows - self._rows
        self._rows += ahead / self._weight
        self._time_s += (elapsed_s - self._time_s) / self._weight
        self._spread = self._spread * self._MEMORY + ahead * (rows - self._rows)
        self._joint = self._joint * self._MEMORY + ahead * (elapsed_s - self._time_s)

    def line(self, rows: int) -> Line:
        """What to expect of a forward that has `rows` rows without optional nodes.

        Where all forwards were of one size the slope cannot be seen. Then the answer makes the
        sizes differ: more rows are said to cost little if recent forwards were about this small,
        and as much as a forward each if they were larger.
        """
        if self._spread < self._LEAST_SPREAD:
            larger = self._rows >= rows + 0.5
            slope_s = self._time_s / self._rows if larger else self._GUESS * self._time_s
        else:
            slope_s = min(max(self._joint / self._spread, 0.0), self._time_s / self._rows)
        return Line(self._time_s - slope_s * self._rows, slope_s)


class Acceptance:
    """The share of log positions at which a session's n-th guess was right.

    Fed with every comparison of a proposal with the log, judged or not: a draft that is useless
    shows it for free, and so does one that has become useful again.
    """

    _RANKS = 8  # later siblings share the last one's figure
    _PRIOR = tuple(0.7 * 0.3**rank for rank in range(_RANKS))
    _PRIOR_COUNT = 4  # comparisons the prior is worth
    _LEAST_WEIGHT = 1 / 16  # of the newest comparison

    def __init__(self) -> None:
        self._shares = list(self._PRIOR)
        self._seen = [self._PRIOR_COUNT] * self._RANKS

    def heir(self) -> "Acceptance":
        """What to expect of another session with the same draft, open to other experience."""
        heir = Acceptance()
        heir._shares = list(self._shares)
        return heir

    def of(self, rank: int) -> float:
        return self._shares[min(rank, self._RANKS - 1)]

    def observe(self, comparison: Comparison) -> None:
        for rank in range(min(comparison.siblings, self._RANKS)):
            self._seen[rank] += 1
            weight = max(1 / self._seen[rank], self._LEAST_WEIGHT)
            self._shares[rank] += weight * ((comparison.matched == rank) - self._shares[rank])
