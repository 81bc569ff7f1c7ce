"""A GGUF file run by llama.cpp as a plain function: token ids in, logits or greedy ids out.

It does not know sessions or speculation; it exists to measure converted files on themselves.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import llama_cpp
import numpy as np
import numpy.typing as npt

from outrider_training.errors import ModelUnreadableError


def _ignore(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """llama.cpp reports failures by its return values too; its log would drown ours."""


_discard_log = llama_cpp.llama_log_callback(_ignore)


class GgufModel:
    """One model with one float32 KV cache of `context` positions, on the CPU."""

    def __init__(self, path: Path, context: int = 256, threads: int = 1) -> None:
        llama_cpp.llama_log_set(_discard_log, ctypes.c_void_p(0))
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.use_extra_bufts = False
        model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if model is None:
            raise ModelUnreadableError(path, "llama.cpp refused the file")
        self._model = model
        self._context = llama_cpp.llama_init_from_model(
            model, _context_parameters(context, threads)
        )
        if self._context is None:
            llama_cpp.llama_model_free(model)
            raise ModelUnreadableError(path, f"no room for a context of {context}")
        self._vocabulary = llama_cpp.llama_model_get_vocab(model)
        self._size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        self._end = llama_cpp.llama_vocab_eos(self._vocabulary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def tokenize(self, text: str, add_special: bool = True) -> list[int]:
        """Ids of a text in which special tokens may be spelt out."""
        data = text.encode()
        buffer = (llama_cpp.llama_token * (len(data) + 2))()
        count = llama_cpp.llama_tokenize(
            self._vocabulary, data, len(data), buffer, len(buffer), add_special, True
        )
        return list(buffer[:count])

    def logits(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """Logits of shape (tokens, vocabulary) for a sequence from position 0."""
        self._clear()
        return self._decode(tokens, 0, every=True)

    def greedy(self, prompt: Sequence[int], limit: int) -> list[int]:
        """The most likely continuation up to the end token, which is included, or the limit."""
        self._clear()
        row, answer = self._decode(prompt, 0, every=False)[-1], list[int]()
        while len(answer) < limit:
            answer.append(int(row.argmax()))
            if answer[-1] == self._end:
                break
            row = self._decode(answer[-1:], len(prompt) + len(answer) - 1, every=False)[-1]
        return answer

    def _clear(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), False)

    def _decode(self, tokens: Sequence[int], at: int, *, every: bool) -> npt.NDArray[np.float32]:
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        wanted = range(len(tokens)) if every else range(len(tokens) - 1, len(tokens))
        try:
            batch.n_tokens = len(tokens)
            for index, token in enumerate(tokens):
                batch.token[index], batch.pos[index] = token, at + index
                batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
                batch.logits[index] = index in wanted
            status = llama_cpp.llama_decode(self._context, batch)
            if status != 0:
                raise ValueError(f"{at + len(tokens)} tokens do not fit (status {status})")
            return np.stack([self._row(index) for index in wanted])
        finally:
            llama_cpp.llama_batch_free(batch)

    def _row(self, index: int) -> npt.NDArray[np.float32]:
        pointer = llama_cpp.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(pointer, (self._size,)).copy()


def _context_parameters(context: int, threads: int) -> llama_cpp.llama_context_params:
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = context
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.type_k = parameters.type_v = llama_cpp.GGML_TYPE_F32
    parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return parameters
