"""The devices of one owner: the newest report of each on every line.

Bounded: the devices that have been silent for longest are forgotten. It knows no other owners, but
keeps the totals over all of them too.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Final

from outrider_cloud.releases.report import Report
from outrider_cloud.releases.totals import Totals

MOST_DEVICES: Final = 100_000  # times lines
_MOST_ROWS: Final = 400_000  # a report is one, and one for each domain

Device = tuple[str, bytes]  # its line and its name


class Roll:
    """`whole` are the totals over all owners."""

    def __init__(self, whole: Totals, most_devices: int = MOST_DEVICES) -> None:
        self._whole = whole
        self._most_devices = most_devices
        self._reports: OrderedDict[Device, Report] = OrderedDict()  # by when they came
        self._names: Counter[bytes] = Counter()  # of devices, by lines that they speak of
        self._rows = 0
        self.totals = Totals()

    @property
    def devices(self) -> int:
        return len(self._names)

    def place(self, report: Report) -> None:
        """It replaces what its device said of this line before."""
        device = report.line, report.device
        if device in self._reports:
            self.forget(device)
        self._reports[device] = report
        self._names[report.device] += 1
        self._rows += _rows(report)
        self.totals.add(report)
        self._whole.add(report)

    def surplus(self) -> Iterator[Device]:
        """Those to be forgotten, one after the other."""
        while len(self._reports) > self._most_devices or self._rows > _MOST_ROWS:
            yield next(iter(self._reports))

    def forget(self, device: Device) -> None:
        """It must be there."""
        report = self._reports.pop(device)
        self._names[report.device] -= 1
        if not self._names[report.device]:
            del self._names[report.device]
        self._rows -= _rows(report)
        self.totals.remove(report)
        self._whole.remove(report)


def _rows(report: Report) -> int:
    return 1 + len(report.domains)
