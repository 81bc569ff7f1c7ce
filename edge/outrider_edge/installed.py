"""The drafts of a device that follows releases: which one to begin with, and which came since.

Other processes may change them; before each answer the device looks once. What was answered with
a draft is kept for those who judge it. It fetches nothing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from outrider_edge.answer import Result
from outrider_edge.drafts import Drafts, Seat
from outrider_edge.errors import BadModelFile, DraftError, ModelMismatch, StoreFailed
from outrider_edge.generation import Outcome
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.llama.model import Model
from outrider_edge.options import Mode, Options
from outrider_edge.releases.pointer import Pointer
from outrider_edge.releases.recent import RecentAnswer, RecentAnswers
from outrider_edge.releases.settings import Following
from outrider_edge.releases.store import DraftStore
from outrider_edge.session import Drafting
from outrider_edge.tempo import Tempo
from outrider_protos.fingerprint import fingerprint


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

    def __init__(self, following: Following, factory: Path) -> None:
        self._store = DraftStore(following.folder, factory)
        self._starts = self._store.starts
        self._recent = RecentAnswers(following.recent_file, following.recent)
        self._factory = factory
        self._looking = threading.Lock()
        self._stamp = -1  # nothing was looked at yet

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

        Raises DraftError where the draft was to write the text.
        """
        exact = options.mode is Mode.EXACT
        with self._preparing(drafts, tries=exact):
            try:
                file, draft = seat.sit()
            except DraftError:
                if not exact:
                    raise
                # A release can only cost speed: this answer is the target's alone.
                name = drafts.current.name
                return Drafting(None, Tempo(), heard=self._keeper(name, options, failed=True))
            draft_id = file.id if options.consent else None
            if not exact:
                return Drafting(draft, file.tempo, draft_id)
            heard, ended = self._keeper(file.name, options), self._begun(file.name)
            return Drafting(draft, file.tempo, draft_id, heard, ended)

    @contextmanager
    def _preparing(self, drafts: Drafts, *, tries: bool) -> Iterator[None]:
        """Look for a newer draft, on trial only if the answer may try it. If the process ends
        while one on trial is loaded, or made ready within, that counts.
        """
        trial = self._store.pointer().trial
        if trial is not None and not tries:
            yield  # sooner or later it ends
            return
        risky = trial is not None and not self._starts.too_many
        with self._starts.under_way() if risky else nullcontext():
            self._follow(drafts)
            yield

    def _begun(self, name: str) -> Callable[[], None]:
        """An answer by that draft: if it is on trial, and this process ends before the answer
        does, that counts. Gives what is to be done at its end.
        """
        if self._store.pointer().trial != name:
            return lambda: None
        self._starts.begin()
        return self._starts.end

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

    def _follow(self, drafts: Drafts) -> None:
        """Draft with what is chosen now. While one session loads it, others go on with what there
        is.
        """
        if not self._looking.acquire(blocking=False):
            return
        try:
            stamp = self._store.stamp()
            if stamp == self._stamp:
                return
            pointer = self._store.pointer()
            self._stamp = stamp
            self._load(drafts, self._chosen(pointer))
            if drafts.current.name == pointer.active:
                drafts.prove()
        finally:
            self._looking.release()

    def _load(self, drafts: Drafts, name: str) -> None:
        """What cannot be loaded changes nothing."""
        now = drafts.current.name
        if name == now:
            return
        file, adapter = self._store.paths(name)
        with suppress(BadModelFile, ModelMismatch):
            if file == self._store.paths(now)[0]:
                drafts.adapt(adapter, name)
            else:
                drafts.swap(file, adapter, name)

    def _chosen(self, pointer: Pointer) -> str:
        """The one on trial, unless processes keep ending with it."""
        if pointer.trial is None or self._starts.too_many:
            return pointer.active
        return pointer.trial
