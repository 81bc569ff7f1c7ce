"""Sums over reports, by line and release: how many devices say what, and how their drafts did.

They are kept as reports come and go, so that whoever reads them adds nothing up. Bounded: of each
release so many domains are told apart. It knows no owners.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from outrider_cloud.releases.report import Report, State, Tally

_MOST_NAMES: Final = 256  # of domains of a release

Place: TypeAlias = tuple[str, int]  # a line and a release


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


class Totals:
    """Of the reports that were added and not removed."""

    def __init__(self) -> None:
        self._sums: dict[Place, Sums] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._sums

    def __iter__(self) -> Iterator[Place]:
        return iter(self._sums)

    def at(self, place: Place) -> Sums:
        """To be read only; empty where there is no report."""
        return self._sums.get(place, Sums())

    def trimmed(self, report: Report) -> Report:
        """Without domains for which there is no room beside those that are known."""
        known = self.at((report.line, report.release)).domains
        room = _MOST_NAMES - len(known)
        fresh = [name for name, _ in report.domains if name not in known][: max(0, room)]
        kept = (pair for pair in report.domains if pair[0] in known or pair[0] in fresh)
        return replace(report, domains=tuple(kept))

    def add(self, report: Report) -> None:
        self._sums.setdefault((report.line, report.release), Sums()).add(report)

    def remove(self, report: Report) -> None:
        """It must have been added."""
        place = report.line, report.release
        self._sums[place].remove(report)
        if not self._sums[place].states.total():
            del self._sums[place]


def _told(report: Report) -> Iterator[tuple[str, Tally]]:
    """A domain of which nothing is known leaves no trace in sums."""
    return (each for each in report.domains if each[1] != Tally())
