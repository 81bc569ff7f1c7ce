"""The devices of one owner: the newest report of each on every line, and sums over them.

Bounded: the devices that have been silent for longest are forgotten. It knows no other owners.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from outrider_cloud.releases.report import Report, State, Tally

MOST_DEVICES: Final = 100_000  # times lines
_MOST_ROWS: Final = 400_000  # a report is one, and one for each domain

Device = tuple[str, bytes]  # its line and its name


@dataclass(slots=True)
class Sums:
    """Over the devices on one release."""

    states: Counter[State] = field(default_factory=Counter)
    domains: dict[str, Tally] = field(default_factory=dict)

    def add(self, report: Report) -> None:
        self.states[report.state] += 1
        for name, tally in _told(report):
            self.domains[name] = self.domains.get(name, Tally()) + tally

    def remove(self, report: Report) -> None:
        self.states[report.state] -= 1
        for name, tally in _told(report):
            self.domains[name] -= tally
            if self.domains[name] == Tally():
                del self.domains[name]

    def __iadd__(self, other: "Sums") -> "Sums":
        self.states += other.states
        for name, tally in other.domains.items():
            self.domains[name] = self.domains.get(name, Tally()) + tally
        return self


class Roll:
    """By line and release where sums are, by line and device where reports are."""

    def __init__(self, most_devices: int = MOST_DEVICES) -> None:
        self._most_devices = most_devices
        self._reports: OrderedDict[Device, Report] = OrderedDict()  # by when they came
        self._rows = 0
        self.sums: dict[tuple[str, int], Sums] = {}

    @property
    def devices(self) -> int:
        return len({device for _, device in self._reports})

    def place(self, report: Report) -> None:
        """It replaces what its device said of this line before."""
        device = report.line, report.device
        if device in self._reports:
            self.forget(device)
        self._reports[device] = report
        self._rows += _rows(report)
        self.sums.setdefault((report.line, report.release), Sums()).add(report)

    def surplus(self) -> Iterator[Device]:
        """Those to be forgotten, one after the other."""
        while len(self._reports) > self._most_devices or self._rows > _MOST_ROWS:
            yield next(iter(self._reports))

    def forget(self, device: Device) -> None:
        """It must be there."""
        report = self._reports.pop(device)
        self._rows -= _rows(report)
        sums = self.sums[report.line, report.release]
        sums.remove(report)
        if not sums.states.total():
            del self.sums[report.line, report.release]


def _told(report: Report) -> Iterator[tuple[str, Tally]]:
    """A domain of which nothing is known leaves no trace in sums."""
    return (each for each in report.domains if each[1] != Tally())


def _rows(report: Report) -> int:
    return 1 + len(report.domains)
