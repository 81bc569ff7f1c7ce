"""The draft files of a device: the one in use, and older ones that an answer still needs.

A new file, or an adapter over the one in use, takes its place while sessions go on: each moves to
it with its next answer. All must have the first one's tokenizer, which speaks for the device. It
decodes nothing.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from outrider_edge.errors import Cancelled, EdgeError, ModelMismatch
from outrider_edge.llama.adapter import Adapter
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.llama.model import Model
from outrider_edge.tempo import Tempo
from outrider_edge.worker import Worker
from outrider_protos.fingerprint import fingerprint
from outrider_protos.limits import DIGEST_BYTES


class DraftFile:
    """A model, alone or under an adapter, and how fast it drafts for the cloud of this device.

    `name` is what it is called where releases are installed; empty: it came another way.
    """

    def __init__(self, model: Model, adapter: Adapter | None = None, name: str = "") -> None:
        self.model, self.adapter, self.name = model, adapter, name
        self.tempo = Tempo()
        self.seats = 0

    @cached_property
    def id(self) -> str:
        """Of every byte that has a say in what it drafts."""
        if self.adapter is None:
            return self.model.id
        both = bytes.fromhex(self.model.id + self.adapter.id)
        return blake2b(both, digest_size=DIGEST_BYTES).hexdigest()


class Drafts:
    """Any thread may call it; contexts are made and freed in the worker's.

    Raises Cancelled where a file comes after the end.
    """

    def __init__(self, first: DraftFile, worker: Worker) -> None:
        self.first = self._current = self._writing = first
        self._loaded = [first]
        self._worker = worker
        self._lock = threading.Lock()
        self._changing = threading.Lock()  # one change at a time
        self._closed = False
        self._seats: list[Seat] = []

    @property
    def current(self) -> DraftFile:
        """What the next answers are drafted with."""
        return self._current

    @property
    def writing(self) -> DraftFile:
        """What the next texts are written with where the draft has a say in them."""
        return self._writing

    def swap(self, path: Path) -> None:
        """Let another file draft from the next answer of each session.

        Raises BadModelFile or ModelMismatch; the current one then stays.
        """
        with self._changing:
            self._use(self._fresh(path), writes=False)

    def adapt(self, path: Path | None) -> None:
        """Lay this adapter over the model in use, instead of another one there; None: take it off.

        The model is not loaded anew. Raises BadModelFile; what there was then stays.
        """
        with self._changing:
            model = self._current.model  # the current one is never freed
            self._use(DraftFile(model, self._laid(model, path)), writes=False)

    def install(self, name: str, path: Path, adapter: Path | None, *, writes: bool) -> None:
        """Let an installed draft write, or only draft, from the next answer of each session.

        What is in memory is not loaded again. Raises BadModelFile or ModelMismatch; what there was
        then stays.
        """
        with self._changing, self._found(name, path) as there:
            if there is None:
                there = self._fresh(path, adapter, name)
            elif there.name != name:
                there = DraftFile(there.model, self._laid(there.model, adapter), name)
            self._use(there, writes=writes)

    def seat(self, settings: ContextSettings, *, writes: bool = False) -> "Seat":
        """A place for one session, whose draft writes or only drafts."""
        seat = Seat(self, settings, self._worker, writes=writes)
        with self._lock:
            self._seats.append(seat)
        return seat

    def take(self, *, writes: bool) -> DraftFile:
        """What writes or drafts now, which stays in memory until it is given back."""
        with self._lock:
            file = self._writing if writes else self._current
            file.seats += 1
            return file

    def give_back(self, file: DraftFile) -> None:
        """Somebody who took it needs it no more."""
        with self._lock:
            file.seats -= 1
        self._free(file)

    def leave(self, seat: "Seat") -> None:
        """The seat is not needed any more."""
        seat.stand_up()
        with self._lock:
            self._seats.remove(seat)

    def close(self) -> None:
        """After the worker has ended: free everything."""
        for seat in self._seats:
            seat.discard()
        with self._lock:
            self._closed = True
            for file in self._loaded:
                file.model.close()

    @contextmanager
    def _found(self, name: str, path: Path) -> Iterator[DraftFile | None]:
        """That draft if it is in memory, or another one of the same installed file; it stays."""
        with self._lock:
            installed = [file for file in self._loaded if file.name and file.model.path == path]
            file = next((file for file in installed if file.name == name), None)
            file = file or next(iter(installed), None)
            if file is not None:
                file.seats += 1
        try:
            yield file
        finally:
            if file is not None:
                self.give_back(file)

    def _fresh(self, path: Path, adapter: Path | None = None, name: str = "") -> DraftFile:
        model, first = Model(path), self.first.model.header
        try:
            if fingerprint(model.header.tokenizer()) != fingerprint(first.tokenizer()):
                raise ModelMismatch(
                    f"{model.header.name} and {first.name} have different vocabularies: "
                    "a draft can only be followed by one with the same tokenizer"
                )
            return DraftFile(model, self._laid(model, adapter), name)
        except BaseException:
            model.close()
            raise

    def _laid(self, model: Model, adapter: Path | None) -> Adapter | None:
        return None if adapter is None else self._worker.run(lambda: Adapter(model, adapter))

    def _use(self, file: DraftFile, *, writes: bool) -> None:
        with self._lock:
            if self._closed:
                file.model.close()
                raise Cancelled("the device was closed")
            replaced = self._writing if writes else self._current
            if writes:
                self._writing = file
            else:
                self._current = file
            if file not in self._loaded:
                self._loaded.append(file)
        self._free(replaced)

    def _free(self, file: DraftFile) -> None:
        """If nobody needs it any more. In the worker's thread, where contexts are made: there
        nothing else happens to a model between the look and the end.
        """
        with suppress(Cancelled):  # then the device is being closed, and frees all
            self._worker.run(lambda: self._sweep(file))

    def _sweep(self, file: DraftFile) -> None:
        with self._lock:
            needed = file in (self._current, self._writing, self.first)
            if file.seats or needed or file not in self._loaded:
                return
            self._loaded.remove(file)
            if not any(other.model is file.model for other in self._loaded):
                file.model.close()  # and with it the adapters over it
            elif file.adapter is not None:
                file.adapter.close()


class Seat:
    """One session's draft: of the file that is current when an answer begins."""

    def __init__(
        self, drafts: Drafts, settings: ContextSettings, worker: Worker, *, writes: bool
    ) -> None:
        self._drafts, self._settings, self._worker = drafts, settings, worker
        self._writes = writes
        self.file = drafts.writing if writes else drafts.current  # sat with last, or tried to
        self._held: tuple[DraftFile, LlamaDraft] | None = None

    def sit(self) -> tuple[DraftFile, LlamaDraft]:
        """For the next answer. Raises ContextError, Cancelled."""
        wanted = self._drafts.writing if self._writes else self._drafts.current
        if self._held is not None and self._held[0] is not wanted:
            self.stand_up()
        if self._held is not None:
            return self._held
        file = self.file = self._drafts.take(writes=self._writes)

        def make() -> tuple[DraftFile, LlamaDraft]:
            # In the worker's thread, so that whoever closes the device after it finds it here.
            self._held = file, LlamaDraft(file.model, self._settings, file.adapter)
            return self._held

        try:
            return self._worker.run(make)
        except EdgeError:  # else it may still be made
            self._drafts.give_back(file)
            raise

    def stand_up(self) -> None:
        """Free the draft, in the worker's thread."""
        if self._held is not None:
            file, draft = self._held
            self._worker.run(draft.close)
            self._held = None
            self._drafts.give_back(file)

    def discard(self) -> None:
        """Free the draft here: the worker has ended."""
        if self._held is not None:
            file, draft = self._held
            draft.close()
            self._held = None
            self._drafts.give_back(file)
