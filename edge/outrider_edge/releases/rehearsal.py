"""A new draft beside the one in use, tried along the same texts where nothing can break.

What is wrong with this disk, or with the one in use, speaks against no release. It judges nothing.
"""

from collections.abc import Sequence

from outrider_edge.errors import DraftError, ProbeInterrupted
from outrider_edge.releases.pointer import files_of
from outrider_edge.releases.probe import Findings, Text, probe
from outrider_edge.releases.store import DraftStore


class Rehearsal:
    """Of drafts that lie in `store`, by name."""

    def __init__(self, store: DraftStore, threads: int) -> None:
        self._store, self._threads = store, threads

    def of(
        self, new: str, active: str, texts: Sequence[Text], batches: Sequence[tuple[int, ...]] = ()
    ) -> Findings:
        """Both along every text, the new one over the batches besides. Raises DraftError where the
        new one breaks down, ProbeInterrupted where nothing can be said of it.
        """
        drafts = [self._store.paths(new), self._store.paths(active)]
        try:
            return probe(drafts, texts, batches, self._threads)
        except DraftError as error:
            self.expect_whole(new, active)
            self._expect_sound(active)
            probe(drafts[:1], texts, batches, self._threads)
            text = "there is no room for two drafts beside each other"
            raise ProbeInterrupted(text) from error

    def expect_whole(self, *names: str) -> None:
        """Before anything is held against a draft. What is damaged goes: an older one takes its
        place, or it is fetched again. Raises ProbeInterrupted.
        """
        files = {file for name in names for file in files_of(name)}
        if {file for file in files if self._store.holds(file)} != files:
            raise ProbeInterrupted("a draft was damaged on this disk, and is removed")

    def _expect_sound(self, active: str) -> None:
        try:
            probe([self._store.paths(active)], (), (), self._threads)
        except DraftError as error:
            raise ProbeInterrupted(f"the draft in use cannot be tried: {error}") from error
