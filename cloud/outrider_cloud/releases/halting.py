"""Whether a release does worse on its devices, told as soon as that is clear.

Two bets are kept (`outrider_protos.betting`): that its trials end badly on too large a share of the
devices, and that the devices lose too much acceptance. Each device has one ballot, from the moment
its trial begins: until that ends it counts as fine, so that trials which end early, as bad ones do,
prove nothing before their time. A good release is ever halted with a chance of at most `error`,
however often one looks. Pure: it knows neither the wire nor what halting means.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from outrider_cloud.releases.report import Report, State
from outrider_protos.betting import Bet, Growth, apart, together

_FEWEST: Final = 256  # positions, from which a loss is more than chance
_PARTS: Final = (0.05, 0.1, 0.2, 0.4)  # from a little above the bar to a release that fails all


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltTerms:
    """When to believe that a release does worse."""

    bad: float = 0.10  # share of devices whose trial may end badly
    loss: float = 0.03  # acceptance that a device may lose in the mean
    error: float = 0.05  # chance that a release which keeps to both is ever halted
    ballots: int = 2_000  # of one owner for one release, the first

    @property
    def bets(self) -> tuple[Bet, Bet]:
        """That the share is larger, and that the loss is."""
        return (
            Bet(bar=self.bad, least=0.0, parts=_PARTS),
            Bet(bar=self.loss, least=0.0, parts=_PARTS),
        )

    @property
    def reasons(self) -> tuple[str, str]:
        """Public: what each of the bets says when it is won."""
        return (
            f"trials end badly on more than {self.bad:.0%} of the devices",
            f"devices lose more than {self.loss:g} of acceptance in the mean",
        )


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a device says of a release, once its trial has ended. Until then: nothing bad."""

    ended: bool = False
    bad: bool = False
    loss: float = 0.0  # 0 to 1

    @classmethod
    def of(cls, report: Report) -> "Ballot | None":
        """None where a device keeps or leaves a release without having judged it."""
        if report.state is State.ON_TRIAL:
            return UNDER_WAY
        untried = report.state is State.COMMITTED and not report.positions
        if untried or report.state is State.LEFT:
            return None
        loss = report.loss if report.positions >= _FEWEST else 0.0
        return cls(True, report.state.bad, loss)

    @property
    def values(self) -> tuple[float, float]:
        """For the bets."""
        return float(self.bad), self.loss


UNDER_WAY: Final = Ballot()


class Evidence:
    """The ballots on one release, by owner."""

    def __init__(self, terms: HaltTerms) -> None:
        self._terms = terms
        self._bets = terms.bets
        self._ballots: dict[str, dict[bytes, Ballot]] = {}
        self._growths: dict[str, tuple[Growth, ...]] = {}

    def admits(self, owner: str, device: bytes, ballot: Ballot) -> bool:
        """Whether it would change anything: a device's first end counts, no later one."""
        ballots = self._ballots.get(owner, {})
        if device in ballots:
            return ballot.ended and not ballots[device].ended
        return len(ballots) < self._terms.ballots

    def waits_for(self, owner: str, device: bytes) -> bool:
        """Whether a trial of this device began and has not ended."""
        return self._ballots.get(owner, {}).get(device) == UNDER_WAY

    def take_back(self, owner: str, device: bytes) -> None:
        """As if its trial, which must be under way, had never begun."""
        del self._ballots[owner][device]
        growths = self._growths[owner]
        self._growths[owner] = self._each(Bet.without, growths, UNDER_WAY.values)

    def cast(self, owner: str, device: bytes, ballot: Ballot) -> None:
        """It must be admitted."""
        ballots = self._ballots.setdefault(owner, {})
        growths = self._growths.get(owner) or tuple(bet.begun for bet in self._bets)
        if device not in ballots:
            growths = self._each(Bet.after, growths, UNDER_WAY.values)
        ballots[device] = ballot
        self._growths[owner] = self._each(Bet.instead, growths, UNDER_WAY.values, ballot.values)

    def verdict(self, *, several_owners: bool) -> str:
        """Why it should be halted; empty: nothing speaks against it.

        Of several owners none may halt it alone, so whichever is left out, the others must show it.
        """
        for number, (bet, reason) in enumerate(zip(self._bets, self._terms.reasons, strict=True)):
            growths = [each[number] for each in self._growths.values()]
            whole = together(bet.begun, *growths)
            heard = [apart(whole, each) for each in growths] if several_owners else [whole]
            error = self._terms.error / len(self._bets)
            if heard and all(bet.shown(growth, error) for growth in heard):
                return reason
        return ""

    def _each(
        self,
        step: Callable[..., Growth],
        growths: tuple[Growth, ...],
        *values: tuple[float, float],
    ) -> tuple[Growth, ...]:
        """The next growth of each bet."""
        return tuple(map(step, self._bets, growths, *values))
