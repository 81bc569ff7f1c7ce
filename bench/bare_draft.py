"""A draft without our code: llama.cpp's decode and an argmax, one token after the other.

It does not know targets, links or sessions. One thread, one sequence, llama.cpp's default KV type.
"""

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import llama_cpp
import numpy as np

# Failures show in return values too.
_discard_log = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)


class BareDraft:
    """One GGUF file with one KV cache of `context` positions."""

    def __init__(self, path: Path, context: int = 1024) -> None:
        """Raises RuntimeError if llama.cpp refuses the file or the context."""
        llama_cpp.llama_log_set(_discard_log, ctypes.c_void_p(0))
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), _model_parameters())
        if self._model is None:
            raise RuntimeError(f"llama.cpp refused {path}")
        self._context = llama_cpp.llama_init_from_model(self._model, _context_parameters(context))
        if self._context is None:
            raise RuntimeError(f"no room for a context of {context} tokens")
        vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self.vocab_size: int = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self._batch = llama_cpp.llama_batch_init(context, 0, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def restart(self) -> None:
        """Forget everything."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), False)

    def feed(self, tokens: Sequence[int], at: int) -> None:
        """Decode tokens at positions `at`, ...; nothing else. Raises RuntimeError if it fails."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index], batch.pos[index] = token, at + index
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
            batch.logits[index] = index == len(tokens) - 1
        if (status := llama_cpp.llama_decode(self._context, batch)) != 0:
            raise RuntimeError(f"llama_decode gave {status}")
        llama_cpp.llama_synchronize(self._context)

    def choose(self, tokens: Sequence[int], at: int) -> int:
        """Feed tokens; the most likely one after the last. Raises RuntimeError if it fails."""
        self.feed(tokens, at)
        row = llama_cpp.llama_get_logits_ith(self._context, len(tokens) - 1)
        return int(np.ctypeslib.as_array(row, (self.vocab_size,)).argmax())

    def time_replay(
        self, prompt: Sequence[int], answer: Sequence[int], rows: int
    ) -> tuple[list[bool], list[float]]:
        """Read the prompt, then feed the answer `rows` tokens at a time.

        Gives at each choice whether it was the answer's next token, and the seconds of each feed:
        the prompt's first, then those of whole groups.
        """
        self.restart()
        agrees, seconds = [], []
        text = [*prompt, *answer]
        ends = range(len(prompt), len(text), rows)
        at = 0
        for end in ends:
            begun = time.perf_counter()
            choice = self.choose(text[at:end], at)
            seconds.append(time.perf_counter() - begun)
            agrees.append(choice == text[end])
            at = end
        return agrees, seconds


def _model_parameters() -> llama_cpp.llama_model_params:
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = 0
    parameters.use_extra_bufts = False  # see design: crashes on CPUs with AMX
    return parameters


def _context_parameters(context: int) -> llama_cpp.llama_context_params:
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = context
    parameters.n_threads = parameters.n_threads_batch = 1
    parameters.no_perf = True
    return parameters
