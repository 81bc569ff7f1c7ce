"""What a draft must pass on a device before it may draft live answers: room for texts, a self-test,
and a replay of answers that the device wrote before.

It says what speaks against a draft, and knows neither where that came from nor what follows.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from outrider_edge.errors import BadModelFile, DraftError
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.releases.examination import (
    UNTOLD,
    compared,
    golden_batches,
    golden_texts,
    replay_objection,
    self_test_objection,
    speed_objection,
    text_of,
)
from outrider_edge.releases.pointer import Pointer
from outrider_edge.releases.recent import RecentAnswers
from outrider_edge.releases.rehearsal import Rehearsal
from outrider_edge.releases.step import Phase
from outrider_edge.releases.store import DraftStore
from outrider_protos.release import Golden

_REPLAYED: Final = 12  # recent answers


class Entry:
    """Raises ProbeInterrupted where nothing can be said of a draft."""

    def __init__(self, store: DraftStore, recent: RecentAnswers, rehearsal: Rehearsal) -> None:
        self._store, self._recent, self._rehearsal = store, recent, rehearsal

    def objection(
        self, golden: tuple[Golden, ...], name: str, pointer: Pointer, told: Callable[[Phase], None]
    ) -> str | None:
        """To the draft of that name, which is in the store, and has these golden choices."""
        found = self._lack_of_room(name, pointer) or self._found(
            golden or UNTOLD, name, pointer, told
        )
        if found is not None:
            self._rehearsal.expect_whole(name, pointer.active)
        return found

    def _found(
        self, golden: tuple[Golden, ...], name: str, pointer: Pointer, told: Callable[[Phase], None]
    ) -> str | None:
        """In the self-test, then in the replay."""
        since = max(0, self._recent.newest() - _REPLAYED)
        answers = self._recent.after(since, _REPLAYED)
        told(Phase.TESTING)
        try:
            texts, batches = golden_texts(golden), golden_batches(golden)
            found = self._rehearsal.of(name, pointer.active, texts, batches)
            if (objection := self_test_objection(golden, found)) is not None:
                return objection
            told(Phase.REPLAYING)
            texts = [text_of(answer) for answer in answers]
            replayed = self._rehearsal.of(name, pointer.active, texts)
        except DraftError as error:
            return str(error)
        return replay_objection(compared(answers, replayed)) or speed_objection(replayed)

    def _lack_of_room(self, name: str, pointer: Pointer) -> str | None:
        """Sessions count on what the factory's draft holds."""
        try:
            room = _room(self._store.paths(name)[0])
        except BadModelFile as error:
            if isinstance(error.__cause__, OSError):
                raise  # which may pass
            return str(error)
        needed = _room(self._store.path(pointer.factory))
        fits = room >= needed
        return None if fits else f"it holds {room} tokens, the draft of this device {needed}"


def _room(file: Path) -> int:
    """Tokens of the longest text."""
    header = read_header(file)
    return header.number(f"{header.architecture}.context_length") or 0
