"""A device that follows a channel in a folder, and the drafts that a test sends it."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from outrider_edge.releases.pointer import Pointer
from outrider_edge.releases.recent import RecentAnswers
from outrider_edge.releases.report import Word
from outrider_edge.releases.source import FolderSource
from outrider_edge.releases.step import Phase, Step
from outrider_edge.releases.store import DraftStore
from outrider_edge.releases.updater import Updater
from tests.simulators.drafts import answers
from tests.simulators.signed_channel import SignedChannel


def ended_starts(folder: Path, count: int) -> None:
    """As if so many more processes had ended in the middle of an answer."""
    folder.mkdir(exist_ok=True)
    for _ in range(count):
        (folder / secrets.token_hex(8)).write_bytes(b"1")


class CountingChannel(FolderSource):
    """Counts what is read, and hears reports."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read_bytes: dict[str, int] = {}
        self.words: list[Word] = []

    def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
        for piece in super().read(path, first, count):
            self.read_bytes[path] = self.read_bytes.get(path, 0) + len(piece)
            yield piece

    def report(self, word: Word) -> None:
        self.words.append(word)

    def fetched(self, ending: str) -> int:
        """Bytes of files whose names end so."""
        return sum(count for path, count in self.read_bytes.items() if path.endswith(ending))


@dataclass
class TestDevice:
    """`step` is one look of the updater; every one is a new process as far as it can tell."""

    __test__ = False

    folder: Path
    factory: Path
    signed: SignedChannel
    recent: RecentAnswers = field(init=False)
    channel: CountingChannel = field(init=False)
    phases: list[Phase] = field(default_factory=list)
    later_s: float = 0.0  # that its clock has gone on by

    def __post_init__(self) -> None:
        self.recent = RecentAnswers(self.folder / "recent.sqlite", 512)
        self.channel = CountingChannel(self.signed.folder)

    @property
    def store(self) -> DraftStore:
        return DraftStore(self.folder, self.factory)

    @property
    def pointer(self) -> Pointer:
        return self.store.pointer()

    def step(self, held: str | None = None) -> Step:
        updater = Updater(
            self.store,
            self.recent,
            self.channel,
            line=self.signed.name,
            root=self.signed.root_bytes,
            clock=lambda: time.time() + self.later_s,
        )
        return updater.step(self.phases.append, lambda there, of: None, held)

    def answer(self, count: int) -> None:
        """So many answers with the draft that is in use, or on trial."""
        for answer in answers(self.pointer.drafting, count):
            self.recent.add(answer)
