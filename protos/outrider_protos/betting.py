"""A bet that the mean of some values is above a bar, which may be looked at whenever one likes.

The money is divided over several stakes, each fixed beforehand, so that both large and small
differences pay. Where the mean is not above the bar, the capital is a supermartingale, so that by
Ville's inequality it ever passes 1 / error with a chance of at most `error` (Waudby-Smith and
Ramdas, "Estimating means of bounded random variables by betting", 2023). As the stakes are fixed,
the capital does not depend on the order of the values, and one of them may be replaced or taken
back later.
Pure; what the values are is not known here.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

# The logarithm of what each stake has made of 1.
Growth: TypeAlias = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet:
    """`parts` are the stakes: of what may be lost at once, each above 0 and below 1."""

    bar: float
    least: float  # no value is below it; below the bar itself
    parts: tuple[float, ...]

    @property
    def begun(self) -> Growth:
        """Nothing is known yet."""
        return (0.0,) * len(self.parts)

    def after(self, growth: Growth, value: float) -> Growth:
        """With one more value."""
        return together(growth, self._gain(value))

    def without(self, growth: Growth, value: float) -> Growth:
        """As it was but for a value."""
        return apart(growth, self._gain(value))

    def instead(self, growth: Growth, old: float, new: float) -> Growth:
        """With a value replaced by another."""
        return self.without(self.after(growth, new), old)

    def shown(self, growth: Growth, error: float) -> bool:
        """Whether the mean is above the bar, with this chance to say so wrongly."""
        largest = max(growth)
        capital = sum(math.exp(each - largest) for each in growth) / len(growth)
        return largest + math.log(capital) >= -math.log(error)

    def _gain(self, value: float) -> Growth:
        if value < self.least:
            raise ValueError(f"{value} is below {self.least}, the least")
        share = (value - self.bar) / (self.bar - self.least)
        return tuple(math.log1p(part * share) for part in self.parts)


def together(*growths: Growth) -> Growth:
    """Of all their values; at least one growth, all of one bet."""
    return tuple(map(sum, zip(*growths, strict=True)))


def apart(growth: Growth, other: Growth) -> Growth:
    """Without the values of `other`."""
    return tuple(mine - others for mine, others in zip(growth, other, strict=True))
