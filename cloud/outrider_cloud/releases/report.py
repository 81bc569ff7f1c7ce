"""What a device says has become of a release, as a plain value. It knows no wire and no fleet."""

from dataclasses import dataclass, fields
from enum import Enum


class State(Enum):
    """Where a release stands on a device; all but the first are ends."""

    ON_TRIAL = "on trial"
    COMMITTED = "committed"
    REVERTED = "reverted"  # its trial went badly
    REFUSED = "refused"  # it did not come as far as a trial
    LEFT = "left"  # withdrawn or replaced: nothing was found wrong with it there

    @property
    def bad(self) -> bool:
        return self in (State.REVERTED, State.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Positions at which the target chose as the draft did, and as the one before it would have."""

    answers: int = 0
    positions: int = 0
    agreed: int = 0
    agreed_before: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in _COUNTS})

    def __sub__(self, other: "Tally") -> "Tally":
        return Tally(**{f.name: getattr(self, f.name) - getattr(other, f.name) for f in _COUNTS})

    @property
    def acceptance(self) -> float | None:
        """0 to 1; None while there is nothing to tell it by."""
        return self.agreed / self.positions if self.positions else None

    @property
    def acceptance_before(self) -> float | None:
        return self.agreed_before / self.positions if self.positions else None


_COUNTS = fields(Tally)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`device` is a random name that a device made for this alone."""

    device: bytes
    line: str
    release: int
    state: State
    domains: tuple[tuple[str, Tally], ...] = ()  # each once

    @property
    def positions(self) -> int:
        """That both drafts were tried at."""
        return self._whole.positions

    @property
    def loss(self) -> float:
        """Of acceptance over all domains, 0 to 1; a gain counts as no loss."""
        lost = max(0, self._whole.agreed_before - self._whole.agreed)
        return lost / self.positions if self.positions else 0.0

    @property
    def _whole(self) -> Tally:
        return sum((tally for _, tally in self.domains), Tally())
