"""The drafts of a device that follows releases: which one to begin with, and which came since.

Other processes may change them; before each answer the device looks once. What was answered with
a draft is kept for those who judge it. It fetches nothing.
"""

from contextlib import suppress
from pathlib import Path

from outrider_edge.answer import Result
from outrider_edge.drafts import Drafts
from outrider_edge.errors import BadModelFile, ModelMismatch, StoreFailed
from outrider_edge.generation import Outcome
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.llama.model import Model
from outrider_edge.releases.pointer import Pointer
from outrider_edge.releases.recent import RecentAnswer, RecentAnswers
from outrider_edge.releases.settings import Following
from outrider_edge.releases.store import DraftStore
from outrider_protos.fingerprint import fingerprint


class Installed:
    """`factory` is the draft that the program came with, or that the user named."""

    def __init__(self, following: Following, factory: Path) -> None:
        self._store = DraftStore(following.folder, factory)
        self._recent = RecentAnswers(following.recent_file, following.recent)
        self._factory = factory
        self._stamp = -1  # nothing was looked at yet
        self._name = self._store.pointer().active

    def first(self) -> tuple[Model, Path | None]:
        """What to begin with, and its adapter: the best draft that is known to be good, loads, and
        has the vocabulary of the factory's.

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
                model = Model(file)
            except BadModelFile:
                continue
            self._name = name
            return model, adapter
        self._name = pointer.factory
        return Model(self._factory), None

    def follow(self, drafts: Drafts) -> None:
        """Draft with what is chosen now; what cannot be loaded changes nothing."""
        stamp = self._store.stamp()
        if stamp == self._stamp:
            return
        pointer = self._store.pointer()
        self._stamp, name = stamp, self._chosen(pointer)
        if name == self._name:
            return
        file, adapter = self._store.paths(name)
        try:
            if name == pointer.trial:
                self._store.starting()
            if file == self._store.paths(self._name)[0]:
                drafts.adapt(adapter)
            else:
                drafts.swap(file, adapter)
            self._name = name
            self._store.survived()
        except (BadModelFile, ModelMismatch, StoreFailed):
            return

    def begins(self) -> None:
        """An answer is about to be drafted: if this process ends before it does, that counts."""
        if self._store.pointer().trial == self._name:
            with suppress(StoreFailed):
                self._store.starting()

    def answered(self, outcome: Outcome, result: Result, domain: str, name: str) -> None:
        """An exact answer is finished: whoever tries drafts may look at it."""
        with suppress(StoreFailed):
            self._store.survived()
        if outcome.error is not None or outcome.tail:
            return
        answer = RecentAnswer(
            draft=name,
            failed=outcome.draft_failed,
            domain=domain,
            prompt=result.prompt,
            tokens=result.tokens,
            sampling=result.sampling,
        )
        try:
            if self._recent.keeps:
                self._recent.add(answer)
        except StoreFailed:
            return  # an answer is worth more than what might be learnt from it

    @property
    def name(self) -> str:
        """Of the draft in use."""
        return self._name

    def close(self) -> None:
        """The device ends as it should, so no draft is to blame."""
        with suppress(StoreFailed):
            self._store.survived()

    def _chosen(self, pointer: Pointer) -> str:
        """The one on trial, unless processes keep ending with it."""
        if pointer.trial is None or self._store.ends_processes:
            return pointer.active
        return pointer.trial
