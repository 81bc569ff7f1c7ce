"""A line of releases over time: which one is for everybody, which for some, which come next.

Pure values: every step makes a new state. Numbers only rise, also past what was withdrawn, as long
as nobody has given the last one away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from outrider_protos.release import MAX_RELEASE_NUMBER, MAX_WITHDRAWN, Line
from outrider_training.releases.errors import RolloutError

MOST_FORMER: Final = 3  # releases to go back to
FIRST_PERCENT: Final = 10
_EVERYBODY: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """Raises RolloutError where a step is not possible."""

    line: Line = field(default_factory=Line)
    highest: int = 0  # number that was ever given
    former: tuple[int, ...] = ()  # that were stable, the oldest first
    files: Mapping[str, int] = field(default_factory=dict)  # which release was which, by SHA-256

    @property
    def offered(self) -> frozenset[int]:
        """Releases whose files devices may ask for, now or after a withdrawal."""
        current = (self.line.stable, self.line.next)
        return frozenset(self.former).union(number for number in current if number is not None)

    @property
    def everybodys(self) -> int | None:
        """The release that all devices may have, also where it is not called stable yet."""
        return self._settled().line.stable

    def check_not_taken_back(self, sha256: str, *, again: bool) -> None:
        """A new number would begin the trials of such a file anew; `again`: it should, although
        it was withdrawn. Raises RolloutError.
        """
        number = self.files.get(sha256)
        if number in self.line.withdrawn and not again:
            raise RolloutError(
                f"this file was release {number}, which was withdrawn: if that was a mistake, "
                "release it with --again"
            )
        if number is not None and number == self.line.next and self.line.held:
            raise RolloutError(
                f"this file is release {number}, which is on hold: resume it "
                "(outrider-train rollout --resume)"
            )

    def publish(self, percent: int | None) -> "LineState":
        """A new release for a share of the devices, instead of one that was on its way to some.

        What was offered to all is stable from then on: who has it keeps it, and may go back to it.
        What was on hold is withdrawn: nobody will promote it. Without a share: everybody if it is
        the first, else a few.
        """
        base = self._settled()
        if percent is None:
            percent = FIRST_PERCENT if base.highest else _EVERYBODY
        number = base._free_number()
        line = base._line(base.line.stable, number, _checked(percent))
        return replace(base, line=line, highest=number)

    def stage(self, percent: int) -> "LineState":
        """Another share."""
        return self._with(self._staged(), _checked(percent), self.line.held)

    def hold(self) -> "LineState":
        """Offer it to nobody for the time being."""
        return self._with(self._staged(), self.line.percent, True)

    def resume(self) -> "LineState":
        """Offer it again."""
        return self._with(self._staged(), self.line.percent, False)

    def promote(self) -> "LineState":
        """What was for some is for everybody."""
        fresh, old = self._staged(), self.line.stable
        former = self.former if old is None else (*self.former, old)[-MOST_FORMER:]
        return replace(self, line=self._line(fresh), former=former)

    def withdraw(self, number: int | None = None) -> "LineState":
        """Take back that release, or what is on its way, or else what is stable: the one before is
        again. Also one that is not known here, as whoever stole a key may have offered it.
        """
        line, gone = self.line, number or self.line.next or self.line.stable
        if gone is None:
            raise RolloutError("nothing is published that could be withdrawn")
        if not 0 < gone <= MAX_RELEASE_NUMBER or gone in line.withdrawn:
            raise RolloutError(f"{gone} is no release, or is withdrawn already")
        former = tuple(each for each in self.former if each != gone)
        changed: dict[str, object] = {"withdrawn": (*line.withdrawn, gone)[-MAX_WITHDRAWN:]}
        if gone == line.next:
            changed |= {"next": None, "percent": 0, "held": False}
        if gone == line.stable:
            changed["stable"] = former[-1] if former else None
            former = former[:-1]
        return replace(self, line=line.model_copy(update=changed), former=former)

    def _settled(self) -> "LineState":
        """What is on its way has arrived, or never will."""
        if self.line.held:
            return self.withdraw(self.line.next)
        if self.line.next is not None and self.line.percent == _EVERYBODY:
            return self.promote()
        return self

    def _free_number(self) -> int:
        """What was withdrawn unseen is nobody's number. Where a thief has given the last one away,
        numbers go on below: from the highest known one that leaves room.
        """
        number = self.highest + 1
        while number in self.line.withdrawn:
            number += 1
        if number <= MAX_RELEASE_NUMBER:
            return number
        known = {0, *self.offered, *self.line.withdrawn, *self.files.values()}
        return max(one + 1 for one in known if one < MAX_RELEASE_NUMBER and one + 1 not in known)

    def _line(self, stable: int | None, following: int | None = None, percent: int = 0) -> Line:
        """What was withdrawn stays so."""
        return Line(stable=stable, next=following, percent=percent, withdrawn=self.line.withdrawn)

    def _staged(self) -> int:
        if self.line.next is None:
            raise RolloutError("no release is on its way: publish one first")
        return self.line.next

    def _with(self, number: int, percent: int, held: bool) -> "LineState":
        line = self._line(self.line.stable, number, percent)
        return replace(self, line=line.model_copy(update={"held": held}))


def _checked(percent: int) -> int:
    if not 0 <= percent <= _EVERYBODY:
        raise RolloutError(f"a share of {percent} percent is not between 0 and 100")
    return percent
