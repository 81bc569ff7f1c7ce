"""The files of one release: the draft itself, and the smaller forms in which it may come.

It checks that the gate let them pass, and makes and describes them; it publishes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuf.api.metadata import TargetFile

from outrider_edge.llama.adapter import is_adapter
from outrider_edge.llama.gguf_header import mould_id, read_header
from outrider_protos.release import FormKind, Release, adapter_path, delta_path, full_path
from outrider_training.delta import make_delta
from outrider_training.examination import Report
from outrider_training.manifest import sha256_of
from outrider_training.releases.catalogue import release_file
from outrider_training.releases.description import (
    Wishes,
    as_target,
    describe_form,
    describe_full,
)
from outrider_training.releases.edition import Edition
from outrider_training.releases.errors import EvidenceError
from outrider_training.releases.evidence import check_against, read_evidence
from outrider_training.releases.line_state import LineState
from outrider_training.releases.repository import Repository

_FACTORY: Final = 0  # its number, in the names of deltas


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What to release, and why it may be."""

    line: str
    draft: Path
    report: Path  # gate.json
    adapter: Path | None = None  # the same change as a LoRA, over a file that devices have
    adapter_report: Path | None = None
    factory: Path | None = None  # the file that devices come with
    again: bool = False  # although this very file was withdrawn
    percent: int | None = None  # None: all devices if nothing is stable yet, else a few
    wishes: Wishes = Wishes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file, and what is signed of it."""

    target: TargetFile
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """For one release, upon one edition. `scratch` is a folder that lasts as long as the files."""

    wish: Publication
    repository: Repository
    edition: Edition
    before: LineState
    after: LineState  # who is offered what once it is out
    number: int
    scratch: Path

    def make(self) -> list[Made]:
        """The full file last: it names the others. Raises TrainingError, EdgeError."""
        wish = self.wish
        report = self._evidence()
        adapters = list(self._adapters(report))  # before the deltas, which take their time
        most_bytes = wish.draft.stat().st_size
        forms = [m for m in (*self._deltas(), *adapters) if m.target.length < most_bytes]
        paths = tuple(made.target.path for made in forms)
        full = describe_full(wish.draft, report, wish.wishes, number=self.number, forms=paths)
        path = full_path(wish.line, self.number)
        return [*forms, Made(target=as_target(path, wish.draft, full), file=wish.draft)]

    def _evidence(self) -> Report:
        report = read_evidence(self.wish.report, self.wish.draft)
        self.before.check_not_taken_back(report.new_sha256, again=self.wish.again)
        known, factory = self._current(), self.wish.factory
        if self.before.everybodys is None:
            if factory is None:
                return report  # what devices came with is not known here
            known.add(sha256_of(factory))
        check_against(self.wish.report, report.old_sha256, known, "the old draft")
        return report

    def _current(self) -> set[str]:
        """SHA-256 of what devices may have as a release; what is on hold they may not."""
        line = self.before.line
        numbers = (line.stable, None if line.held else line.next)
        return {self._release(number)[0] for number in numbers if number is not None}

    def _deltas(self) -> Iterator[Made]:
        wish = self.wish
        for number, base in self._bases():
            delta = self.scratch / f"{number}.delta"
            make_delta(base, wish.draft, delta)
            said = describe_form(delta, FormKind.DELTA, sha256_of(base))
            path = delta_path(wish.line, self.number, number)
            yield Made(target=as_target(path, delta, said), file=delta)

    def _bases(self) -> Iterator[tuple[int, Path]]:
        """Files of the draft's mould that most devices have, with their numbers."""
        mould, stable, factory = (
            mould_id(self.wish.draft),
            self.after.line.stable,
            self.wish.factory,
        )
        if stable is not None and self._release(stable)[1].mould == mould:
            base = self.scratch / "stable.gguf"
            self.repository.fetch_target(self.edition, full_path(self.wish.line, stable), base)
            yield stable, base
        if factory is not None and mould_id(factory) == mould:
            yield _FACTORY, factory

    def _adapters(self, report: Report) -> Iterator[Made]:
        """One at most, over a file that devices have: a release, or what the first replaces."""
        adapter, told = self.wish.adapter, self.wish.adapter_report
        if adapter is None:
            return
        if told is None:
            raise EvidenceError("the adapter", "it has no report of its own")
        if not is_adapter(read_header(adapter)):
            raise EvidenceError(adapter.name, "it is no adapter")
        found = read_evidence(told, adapter)
        known = self._current() | {report.old_sha256}
        if self.wish.factory is not None:
            known.add(sha256_of(self.wish.factory))
        check_against(told, found.base_sha256, known, "the file below the adapter")
        said = describe_form(adapter, FormKind.ADAPTER, found.base_sha256)
        path = adapter_path(self.wish.line, self.number)
        yield Made(target=as_target(path, adapter, said), file=adapter)

    def _release(self, number: int) -> tuple[str, Release]:
        return release_file(self.edition, self.wish.line, number)
