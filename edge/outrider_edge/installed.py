"""The drafts of a device that follows releases: which one to begin with, and which came since.

Other processes may change them; before each answer the device looks once. What was answered with
a draft is kept for those who judge it. It fetches nothing.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outrider_edge.answer import Result
from outrider_edge.drafts import DraftFile, Drafts, Seat
from outrider_edge.errors import BadModelFile, DraftError, ModelMismatch, StoreFailed
from outrider_edge.generation import Outcome
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.llama.model import Model
from outrider_edge.options import Mode, Options
from outrider_edge.releases.recent import RecentAnswer, RecentAnswers
from outrider_edge.releases.settings import Following
from outrider_edge.releases.store import DraftStore
from outrider_edge.session import Drafting
from outrider_edge.tempo import Tempo
from outrider_protos.fingerprint import fingerprint

_RETRY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """A draft to load: its name in the store, its model, and what lies over it."""

    name: str
    model: Model
    adapter: Path | None = None


class Installed:
    """`factory` is the draft that the program came with, or that the user named.

    Sessions of any threads may ask at once.
    """

    def __init__(
        self, following: Following, factory: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = DraftStore(following.folder, factory)
        self._starts = self._store.starts
        self._recent = RecentAnswers(following.recent_file, following.recent)
        self._factory = factory
        self._clock = clock
        self._looking = threading.Lock()
        self._failed: dict[str, float] = {}  # what was not to be loaded, and when to try again

    def first(self) -> Chosen:
        """What to begin with: the best draft that is known to be good, loads, and has the
        vocabulary of the factory's.

        Raises BadModelFile if not even the factory's loads.
        """
        pointer = self._store.pointer()
        wanted = fingerprint(read_header(self._factory).tokenizer())
        for name in (pointer.active, pointer.previous):
            if name is None:
                continue
            file, adapter = self._store.paths(name)
            try:
                if adapter is not None:
                    read_header(adapter)  # half a file is found out here
                if fingerprint(read_header(file).tokenizer()) != wanted:
                    continue
                return Chosen(name, Model(file), adapter)
            except BadModelFile:
                continue
        return Chosen(pointer.factory, Model(self._factory))

    def drafting(self, drafts: Drafts, seat: Seat, options: Options) -> Drafting:
        """For the next answer, by the newest draft; exact answers try what is on trial, and are
        kept to judge it by.

        Raises DraftError where the draft was to write the text, Cancelled.
        """
        if options.mode is not Mode.EXACT:
            self._follow(drafts, self._store.pointer().active, writes=True)
            file, draft = seat.sit()
            return Drafting(draft, file.tempo, _id(file, options))
        with self._loading(drafts):
            try:
                file, draft = seat.sit()
            except DraftError:
                # A release can only cost speed: this answer is the target's alone.
                heard = self._keeper(seat.file.name, options, failed=True)
                return Drafting(None, Tempo(), heard=heard)
            heard, ended = self._keeper(file.name, options), self._begun(file.name)
            return Drafting(draft, file.tempo, _id(file, options), heard, ended)

    @contextmanager
    def _loading(self, drafts: Drafts) -> Iterator[None]:
        """Before an exact answer. If the process ends while the draft on trial is loaded, or made
        ready within, that counts; where too many have, it is not loaded any more.
        """
        pointer = self._store.pointer()
        tries = pointer.trial is not None and not self._starts.too_many
        with self._starts.under_way() if tries else nullcontext():
            chosen = pointer.drafting if tries else pointer.active
            self._follow(drafts, chosen, writes=False)
            yield

    def _begun(self, name: str) -> Callable[[], None]:
        """An answer by that draft: if it is on trial, and this process ends before the answer
        does, that counts. Gives what is to be done at its end; doing it again does nothing.
        """
        with ExitStack() as stack:
            if self._store.pointer().trial == name:
                stack.enter_context(self._starts.under_way())
            return stack.pop_all().close

    def _keeper(
        self, name: str, options: Options, *, failed: bool = False
    ) -> Callable[[Outcome, Result], None]:
        """Keeps an exact answer by that draft, once it is finished, for whoever tries drafts."""

        def keep(outcome: Outcome, result: Result) -> None:
            if outcome.error is not None or outcome.tail or not self._recent.keeps:
                return
            answer = RecentAnswer(
                draft=name,
                failed=failed or outcome.draft_failed,
                domain=(options.domain or "") if options.consent else "",
                prompt=result.prompt,
                tokens=result.tokens,
                sampling=result.sampling,
            )
            with suppress(StoreFailed):  # an answer is worth more than what is learnt from it
                self._recent.add(answer)

        return keep

    def _follow(self, drafts: Drafts, name: str, *, writes: bool) -> None:
        """Use that draft. While one session loads it others go on with what there is; what cannot
        be loaded changes nothing, and is tried again later.
        """
        used = drafts.writing if writes else drafts.current
        if used.name == name or not self._looking.acquire(blocking=False):
            return
        now_s = self._clock()
        try:
            self._failed = {n: again_s for n, again_s in self._failed.items() if again_s > now_s}
            if name in self._failed:
                return
            drafts.install(name, *self._store.paths(name), writes=writes)
        except (BadModelFile, ModelMismatch):
            self._failed[name] = now_s + _RETRY_S
        finally:
            self._looking.release()


def _id(file: DraftFile, options: Options) -> str | None:
    """For answers that may be recorded. A file that is gone meanwhile has none any more."""
    if not options.consent:
        return None
    try:
        return file.id
    except BadModelFile:
        return None
