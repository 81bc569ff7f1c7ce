"""Whether a draft on trial does as well as the one before it, decided as soon as that is clear.

Both drafts are known on the same answers: what the one on trial had accepted, and what the other
would have had (a replay). Two bets are kept, one that the new draft is not worse by more than a
margin, one that it is (`outrider_protos.betting`): however often one looks, each is won wrongly
with a chance of at most `error`. Pure.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from outrider_protos.betting import Bet, Growth

_PARTS: Final = (0.25, 0.8)  # the larger ends a trial soon, the smaller bears answers that vary
_BEGUN: Final = (0.0,) * len(_PARTS)


class Outcome(Enum):
    """What becomes of a trial."""

    GOES_ON = "goes on"
    COMMIT = "commit"
    REVERT = "revert"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTerms:
    """When to believe what."""

    margin: float = 0.03  # acceptance that the new draft may lose
    error: float = 0.05  # chance of a wrong end, on either side
    answers: int = 200  # after so many the mean decides
    fewest: int = 50  # from which a mean speaks against the new draft

    @property
    def gain(self) -> Bet:
        """That new minus old is above -margin in the mean."""
        return Bet(bar=-self.margin, least=-1.0, parts=_PARTS)

    @property
    def loss(self) -> Bet:
        """That old minus new is above margin in the mean."""
        return Bet(bar=self.margin, least=-1.0, parts=_PARTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is known so far; `with_answer` makes the next one."""

    terms: TrialTerms = TrialTerms()
    answers: int = 0
    total: float = 0.0  # of differences
    for_it: Growth = _BEGUN  # of the bet that the new draft is good enough
    against_it: Growth = _BEGUN

    def with_answer(self, new: float, old: float) -> "Trial":
        """Acceptance of both drafts in one more answer, each 0 to 1."""
        difference = new - old
        return replace(
            self,
            answers=self.answers + 1,
            total=self.total + difference,
            for_it=self.terms.gain.after(self.for_it, difference),
            against_it=self.terms.loss.after(self.against_it, -difference),
        )

    @property
    def outcome(self) -> Outcome:
        """Of what acceptance says; speed is judged apart."""
        if self.terms.gain.shown(self.for_it, self.terms.error):
            return Outcome.COMMIT
        if self.terms.loss.shown(self.against_it, self.terms.error):
            return Outcome.REVERT
        return Outcome.GOES_ON if self.answers < self.terms.answers else self.leaning

    @property
    def leaning(self) -> Outcome:
        """What the mean says, when hardly anything more may come. A few bad answers say neither."""
        if self.total >= -self.terms.margin * self.answers:
            return Outcome.COMMIT
        return Outcome.GOES_ON if self.answers < self.terms.fewest else Outcome.REVERT
