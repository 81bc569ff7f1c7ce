"""All releases on all devices: what was reported, how it stands, and what does worse.

Whatever happens to it is a change; a fleet to which the same changes happen again is the same.
What a line names no longer is judged no more: it can do no harm, and as bad trials end early, those
that are called off then were mostly good ones, so that what is left to count would be mostly bad.
It is pure: it knows no wire, no files and no clock.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from heapq import nlargest
from typing import Final, TypeAlias

from outrider_cloud.releases.halting import Ballot, Evidence, HaltTerms
from outrider_cloud.releases.report import Report, State, Tally
from outrider_cloud.releases.roll import MOST_DEVICES, Device, Roll
from outrider_cloud.releases.totals import Sums, Totals

MOST_RELEASES: Final = 32  # of a line: the newest are judged, and shown
_MOST_STANDINGS: Final = 128  # so that they fit into one message
_MOST_DOMAINS: Final = 64  # of a release, those that most is known of


@dataclass(frozen=True, slots=True)
class Placed:
    """A device has said something; it replaces what it said of the line before."""

    owner: str
    report: Report


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A device had been silent for longest, and room was needed."""

    owner: str
    device: Device


@dataclass(frozen=True, slots=True)
class Counted:
    """A device counts for or against a release."""

    owner: str
    device: bytes
    line: str
    release: int
    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A trial that had begun was never judged to its end: the device counts neither way."""

    owner: str
    device: bytes
    line: str
    release: int


@dataclass(frozen=True, slots=True)
class Halted:
    """A release was found to do worse. It stays so."""

    line: str
    release: int
    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A release is too old to be judged any more."""

    line: str
    release: int


Change: TypeAlias = Placed | Forgotten | Counted | Uncounted | Halted | Closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of one release. Domains are by name, those with the most positions."""

    line: str
    release: int
    states: dict[State, int]
    domains: tuple[tuple[str, Tally], ...]
    halted: str  # why; empty: it is not


class Fleet:
    """`several_owners`: of those who may report; then none of them can halt a release alone."""

    def __init__(
        self,
        terms: HaltTerms = HaltTerms(),
        *,
        several_owners: bool = False,
        most_devices: int = MOST_DEVICES,
    ) -> None:
        self._terms = terms
        self._several_owners = several_owners
        self._most_devices = most_devices
        self._rolls: dict[str, Roll] = {}
        self._whole = Totals()  # over all owners
        self._evidence: dict[str, dict[int, Evidence]] = {}  # by line and release
        self._halted: dict[tuple[str, int], str] = {}

    def take(self, owner: str, report: Report, named: Collection[int]) -> list[Change]:
        """A report of a release that there is, and which releases its line names now, for some or
        for all. What it changed, in order.
        """
        changes = []
        for change in self._changes(owner, report, named):
            self.apply(change)
            changes.append(change)
        return changes

    def apply(self, change: Change) -> None:
        """Let it happen, or happen again."""
        match change:
            case Placed(owner, report):
                self._roll(owner).place(report)
            case Forgotten(owner, device):
                self._rolls[owner].forget(device)
            case Counted(owner, device, line, release, ballot):
                self._judged(line, release).cast(owner, device, ballot)
            case Uncounted(owner, device, line, release):
                self._judged(line, release).take_back(owner, device)
            case Halted(line, release, reason):
                self._halted[line, release] = reason
            case Closed(line, release):
                del self._evidence[line][release]

    def halted(self, line: str, release: int) -> str:
        """Why; empty: it is not."""
        return self._halted.get((line, release), "")

    def knows(self, line: str, release: int) -> bool:
        """Whether any device has spoken of it, as far back as is remembered."""
        return release in self._evidence.get(line, {}) or (line, release) in self._whole

    def devices(self, owner: str | None = None) -> int:
        """How many are known, of one owner or of all."""
        rolls = self._rolls.values() if owner is None else (self._roll(owner),)
        return sum(roll.devices for roll in rolls)

    def standings(self, owner: str | None = None) -> list[Standing]:
        """By line, the newest release first, as one owner's devices or those of all have it; what
        is halted is shown to everybody.
        """
        totals = self._whole if owner is None else self._roll(owner).totals
        ages: dict[str, int] = {}
        ranked = []
        for line, release in sorted({*totals, *self._halted}, reverse=True):
            ages[line] = ages.get(line, 0) + 1
            ranked.append((ages[line], line, release))
        shown = [each for each in sorted(ranked)[:_MOST_STANDINGS] if each[0] <= MOST_RELEASES]
        order = sorted(shown, key=lambda each: (each[1], each[0]))
        return [self._standing(line, n, totals.at((line, n))) for _, line, n in order]

    def _changes(self, owner: str, report: Report, named: Collection[int]) -> Iterator[Change]:
        """Each is to be applied before the next is asked for."""
        yield Placed(owner, self._roll(owner).totals.trimmed(report))
        for device in self._rolls[owner].surplus():
            yield Forgotten(owner, device)
        line, release = report.line, report.release
        for other, evidence in self._evidence.get(line, {}).items():
            if other != release and other in named and evidence.waits_for(owner, report.device):
                yield Uncounted(owner, report.device, line, other)  # it was called off
        if release not in named or (change := self._vote(owner, report)) is None:
            return
        yield change
        verdict = self._judged(line, release).verdict(several_owners=self._several_owners)
        if verdict and not self.halted(line, release):
            yield Halted(line, release, verdict)
        if len(self._evidence[line]) > MOST_RELEASES:
            yield Closed(line, min(self._evidence[line]))

    def _vote(self, owner: str, report: Report) -> Counted | Uncounted | None:
        """What it means for the ballots on its release; None: nothing."""
        device, line, release = report.device, report.line, report.release
        evidence = self._evidence.get(line, {}).get(release, Evidence(self._terms))
        ballot = Ballot.of(report)
        if ballot is None:
            begun = evidence.waits_for(owner, device)
            return Uncounted(owner, device, line, release) if begun else None
        admitted = evidence.admits(owner, device, ballot)
        return Counted(owner, device, line, release, ballot) if admitted else None

    def _roll(self, owner: str) -> Roll:
        return self._rolls.setdefault(owner, Roll(self._whole, self._most_devices))

    def _judged(self, line: str, release: int) -> Evidence:
        return self._evidence.setdefault(line, {}).setdefault(release, Evidence(self._terms))

    def _standing(self, line: str, release: int, sums: Sums) -> Standing:
        known = nlargest(_MOST_DOMAINS, sums.domains.items(), key=lambda each: each[1].positions)
        return Standing(
            line=line,
            release=release,
            states={state: sums.states[state] for state in State},
            domains=tuple(sorted(known, key=lambda each: each[0])),
            halted=self.halted(line, release),
        )
