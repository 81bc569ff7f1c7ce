"""A GGUF model in memory: its weights, to be shared by several drafts, and its vocabulary."""

import os
from _thread import start_new_thread
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

import llama_cpp

from outrider_edge.errors import BadModelFile
from outrider_edge.llama import library
from outrider_edge.llama.gguf_header import file_id, read_header
from outrider_edge.llama.vocabulary import Vocabulary

_UNKNOWN_ARCHITECTURE = "unknown model architecture"
_OUT_OF_FILE = "data is not within the file bounds"


class Model:
    """Loads in the constructor; `close` (or leaving the context) frees it, after its drafts.

    Raises BadModelFile when the file is missing, broken, or cannot draft: an architecture that
    llama.cpp does not know, one without a causal decoder, or one whose memory cannot be cut.
    """

    def __init__(self, path: Path) -> None:
        library.start()
        self.path = path
        self.header = read_header(path)
        self._pointer: Any = _load(path, self.header.architecture)
        try:
            self._refuse_what_cannot_draft()
            self.vocabulary = Vocabulary(llama_cpp.llama_model_get_vocab(self._pointer))
        except BadModelFile:
            self.close()
            raise

    @property
    def pointer(self) -> Any:
        """llama.cpp's `llama_model *`; None once closed."""
        return self._pointer

    @cached_property
    def id(self) -> str:
        """Of the file. Raises BadModelFile when it has gone meanwhile."""
        return file_id(self.path)

    @property
    def context_tokens(self) -> int:
        """The longest text the model was trained for."""
        return int(llama_cpp.llama_model_n_ctx_train(self._pointer))

    @property
    def size_bytes(self) -> int:
        """Of all weights."""
        return int(llama_cpp.llama_model_size(self._pointer))

    @property
    def chat_template(self) -> str | None:
        """The file's own Jinja template; not to be run outside a sandbox."""
        return self.header.text("tokenizer.chat_template")

    def close(self) -> None:
        """Free the weights; once is enough, more does nothing."""
        if self._pointer is not None:
            llama_cpp.llama_model_free(self._pointer)
            self._pointer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _refuse_what_cannot_draft(self) -> None:
        pointer, name = self._pointer, self.header.name
        kind = self.header.architecture
        if (
            not llama_cpp.llama_model_has_decoder(pointer)
            or llama_cpp.llama_model_has_encoder(pointer)
            or llama_cpp.llama_model_is_diffusion(pointer)
        ):
            raise BadModelFile(name, f"architecture {kind} does not write token after token")
        if llama_cpp.llama_model_is_recurrent(pointer) or llama_cpp.llama_model_is_hybrid(pointer):
            raise BadModelFile(name, f"architecture {kind} keeps a state that cannot be cut back")
        vocabulary = llama_cpp.llama_model_get_vocab(pointer)
        if llama_cpp.llama_vocab_type(vocabulary) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
            raise BadModelFile(name, "has no tokenizer")


def _load(path: Path, architecture: str) -> Any:
    parameters = llama_cpp.llama_model_default_params()
    if library.reports_amx():
        parameters.use_extra_bufts = False
    load = llama_cpp.llama_model_load_from_file
    with library.listening() as errors:
        pointer = _elsewhere(lambda: load(os.fsencode(path), parameters))
    if not pointer:
        raise BadModelFile(path.name, _problem(errors, architecture))
    return pointer


def _elsewhere(work: Callable[[], Any]) -> Any:
    """In a thread of its own: in the main one Ctrl-C would be lost in the callback that listens.

    A bare lock, for it can be interrupted at any moment; what is loaded after that is never used.
    """
    found: list[Any] = [None]
    done = Lock()

    def run() -> None:
        try:
            found[0] = work()
        finally:
            done.release()

    done.acquire()
    start_new_thread(run, ())
    done.acquire()
    return found[0]


def _problem(errors: list[str], architecture: str) -> str:
    """A public sentence for what llama.cpp said, which may hold the file's whole path."""
    said = "\n".join(errors)
    if _UNKNOWN_ARCHITECTURE in said:
        return f"has the architecture {architecture}, which this llama.cpp does not know"
    if _OUT_OF_FILE in said:
        return "is cut short: not all of its weights are there"
    return "was refused by llama.cpp: its metadata and its tensors do not make a model"
