"""What a pair must reach: the figures that were measured against the bands that were set.

It does not know how the figures are measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from outrider_training.evaluate import DraftFigures


@dataclass(frozen=True, slots=True)
class PairFigures:
    """Shares between 0 and 1, by domain."""

    target_exact: Mapping[str, float]
    draft: Mapping[str, DraftFigures]

    def lines(self) -> list[str]:
        """A table for people."""
        head = f"{'domain':<12}{'target exact':>14}{'draft exact':>14}{'acceptance':>12}"
        rows = [
            f"{domain:<12}{exact:>14.3f}{self.draft[domain].exact:>14.3f}"
            f"{self.draft[domain].acceptance:>12.3f}"
            for domain, exact in self.target_exact.items()
        ]
        return [head, *rows]


@dataclass(frozen=True, slots=True)
class Bands:
    """Lowest and highest shares; the draft's own domains are those it was trained on."""

    target_exact: float
    own_domains: tuple[str, ...]
    own_exact: tuple[float, float]
    own_acceptance: tuple[float, float]
    strange_acceptance: float

    def misses(self, figures: PairFigures) -> list[str]:
        """One sentence for each figure outside its band."""
        found = [
            f"target right on {exact:.3f} of {domain}, below {self.target_exact}"
            for domain, exact in figures.target_exact.items()
            if exact < self.target_exact
        ]
        for domain, draft in figures.draft.items():
            if domain in self.own_domains:
                found += _outside("right", domain, draft.exact, self.own_exact)
                found += _outside("accepted", domain, draft.acceptance, self.own_acceptance)
            else:
                strange = (0.0, self.strange_acceptance)
                found += _outside("accepted", domain, draft.acceptance, strange)
        return found


DEMO_BANDS: Final = Bands(
    target_exact=0.95,
    own_domains=("english", "python"),
    own_exact=(0.40, 0.80),
    own_acceptance=(0.70, 0.95),
    strange_acceptance=0.50,
)


def _outside(what: str, domain: str, share: float, band: tuple[float, float]) -> list[str]:
    low, high = band
    if low <= share <= high:
        return []
    return [f"draft {what} on {share:.3f} of {domain}, not within {low} to {high}"]
