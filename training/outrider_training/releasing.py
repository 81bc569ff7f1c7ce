"""From the drafts that a worker puts forward to releases, unattended: with the online key alone.

A draft is judged against what devices have, not against the worker's last one, and a release that
the cloud has halted is held back by signature. It does not know how drafts are made better.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from outrider_protos.release import RELEASES_ROLE, full_path
from outrider_training.examination import Report
from outrider_training.file_digest import FileDigest
from outrider_training.gate_report import write_report
from outrider_training.releases.catalogue import check_name, read_line
from outrider_training.releases.ceremony import renew
from outrider_training.releases.edition import Edition
from outrider_training.releases.errors import KeysMissingError
from outrider_training.releases.key_folder import KeyFolder
from outrider_training.releases.line_state import LineState
from outrider_training.releases.press import Publication
from outrider_training.releases.publication import Published, publish, roll_out
from outrider_training.releases.repository import Repository
from outrider_training.releases.roles import Lifetimes

_MIND_S: Final = 30.0

# The current draft against another file; None where there is nothing to judge by.
ReportAgainst = Callable[[Path], Report | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Where to, and to how many."""

    line: str
    keys: Path  # folder of the online key
    factory: Path  # what devices come with
    percent: int | None = None
    every_s: float = 3600.0  # from one try to the next, and before the first, at least


class Releasing:
    """Call `offer` when there is a better draft, `mind` now and then. Raises TrainingError."""

    def __init__(
        self,
        course: Course,
        repository: Repository,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._course, self._repository, self._clock = course, repository, clock
        self._keys = KeyFolder(course.keys)
        self._last_s = clock()
        self._mind_s = self._last_s
        self._halted = frozenset[int]()  # when it was last looked after
        self._offered: str | None = None  # SHA-256 of the draft that was last looked at
        self._draft, self._factory = FileDigest(), FileDigest()

    def check(self) -> None:
        """That there is such a repository, and a key that may sign; learning takes long."""
        check_name(self._course.line)
        seat = self._repository.read(self._keys).roles.seat(RELEASES_ROLE)
        held = {signer.public_key.keyid for signer in self._keys.signers()} & set(seat.keyids)
        if len(held) < seat.threshold:
            raise KeysMissingError(RELEASES_ROLE, len(held), seat.threshold)

    def offer(self, draft: Path, report_against: ReportAgainst) -> Published | None:
        """Release it, if that is due and it beats what devices have."""
        now_s = self._clock()
        if now_s - self._last_s < self._course.every_s:
            return None
        sha256 = self._draft.of(draft)
        if sha256 in (self._offered, self._factory.of(self._course.factory)):
            return None
        self._last_s = now_s
        edition = self._repository.look()
        state = read_line(self._repository, edition, self._course.line)
        if sha256 in state.files:  # also what was halted before this process began
            self._offered = sha256
            return None
        with TemporaryDirectory(prefix="outrider-releasing-") as scratch:
            report = report_against(self._known(edition, state, Path(scratch)))
            if report is None or not report.verdict.passed:
                return None
            written, _ = write_report(report, Path(scratch))
            published = self._publish(draft, written)
        self._offered = sha256
        return published

    def mind(self, halted: frozenset[int] | None) -> int | None:
        """Hold what is on its way if the cloud has halted it; its number if that was new. None
        where the cloud does not say.

        What the online key signed is dated anew in time: it expires also if nothing is released.
        Calls that come soon after each other and name nothing more do nothing.
        """
        now_s, known = self._clock(), halted or frozenset()
        if now_s < self._mind_s and known <= self._halted:
            return None
        self._mind_s = now_s + _MIND_S
        edition = self._repository.look()
        self._renew(edition)
        line = read_line(self._repository, edition, self._course.line).line
        wanted = line.next is not None and not line.held and line.next in known
        if wanted:
            roll_out(self._course.line, LineState.hold, self._repository, self._keys)
        self._halted = known
        return line.next if wanted else None

    def _renew(self, edition: Edition) -> None:
        expires = edition.roles.timestamp.signed.expires
        if expires - self._repository.now() < Lifetimes().timestamp / 2:
            renew(self._repository, self._keys, None)

    def _publish(self, draft: Path, report: Path) -> Published:
        course = self._course
        wish = Publication(
            line=course.line,
            draft=draft,
            report=report,
            factory=course.factory,
            percent=course.percent,
        )
        return publish(wish, self._repository, self._keys)

    def _known(self, edition: Edition, state: LineState, scratch: Path) -> Path:
        """What devices have, or will have: the newest that is not held."""
        line = state.line
        number = line.stable if line.held or line.next is None else line.next
        if number is None:
            return self._course.factory
        place = scratch / "known.gguf"
        self._repository.fetch_target(edition, full_path(self._course.line, number), place)
        return place
