"""A `llama_context`: KV cells of several sequences, one reusable batch, rows of logits.

It knows tokens at positions of numbered sequences. Which text they belong to is for others to know.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from outrider_edge.errors import BadSettings, ContextFull, DraftError
from outrider_edge.llama.adapter import Adapter
from outrider_edge.llama.model import Model

MAX_BRANCHES = 64
_NO_ROOM = 1  # of what llama_decode returns; 0 is success, all else a failure
_PHYSICAL_BATCH = 512

# The binding's own prototype builds a pointer object per call; the address is all we need.
_row_address = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)(
    ("llama_get_logits_ith", llama_cpp.llama_cpp._lib)
)


class CacheType(Enum):
    """How keys and values are stored; the value is ggml's number of the type."""

    F32 = 0  # for exactness tests
    F16 = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSettings:
    """What a context is made of. Raises BadSettings."""

    tokens: int | None = None  # the longest text; None: what the model was trained for
    branches: int = 1  # sequences, so leaves that can be expanded in one decode
    cache: CacheType = CacheType.F16
    threads: int = 1

    def __post_init__(self) -> None:
        if self.tokens is not None and self.tokens < 1:
            raise BadSettings(f"the context is {self.tokens} tokens, not at least 1")
        if not 1 <= self.branches <= MAX_BRANCHES:
            raise BadSettings(f"branches is {self.branches}, not 1 to {MAX_BRANCHES}")
        if self.threads < 1:
            raise BadSettings(f"threads is {self.threads}, not at least 1")


DEFAULTS: Final = ContextSettings()


class Context:
    """`put` tokens, `decode` them, look at each `row`; then `copy`, `cut`, `keep` sequences."""

    def __init__(
        self, model: Model, settings: ContextSettings, adapter: Adapter | None = None
    ) -> None:
        self.tokens = min(settings.tokens or model.context_tokens, model.context_tokens)
        self.decoded_tokens = 0  # in all: what reuse saves can be counted
        self._vocabulary_size = model.vocabulary.size
        # By address: one a branch, for llama.cpp makes its buffer for as many at once.
        self._rows: dict[int, NDArray[np.float32]] = {}
        self._pointer = _open(model, settings, self.tokens)
        if adapter is not None:
            adapter.apply(self._pointer)
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._room = int(llama_cpp.llama_n_batch(self._pointer))
        self._make_batch(self._room)

    def _make_batch(self, room: int) -> None:
        """Arrays that llama.cpp reads; every token is in exactly one sequence."""
        self._tokens = (ctypes.c_int32 * room)()
        self._positions = (ctypes.c_int32 * room)()
        self._sequences = (ctypes.c_int32 * room)()
        self._wanted = (ctypes.c_int8 * room)()
        counts = (ctypes.c_int32 * room)(*[1] * room)
        first, size = ctypes.addressof(self._sequences), ctypes.sizeof(ctypes.c_int32)
        addresses = (ctypes.c_size_t * room)(*range(first, first + size * room, size))
        pointers = ctypes.cast(addresses, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
        self._batch = llama_cpp.llama_batch(
            0, self._tokens, None, self._positions, counts, pointers, self._wanted
        )

    # ---- the batch

    def fill(self, tokens: Sequence[int], position: int, sequence: int) -> None:
        """Put a run of tokens whose rows nobody wants. Raises ContextFull."""
        first = self._batch.n_tokens
        end = first + len(tokens)
        if end > self._room:
            self._batch.n_tokens = 0
            raise ContextFull("the text does not fit the draft's context")
        self._tokens[first:end] = list(tokens)
        self._positions[first:end] = list(range(position, position + len(tokens)))
        self._sequences[first:end] = [sequence] * len(tokens)
        self._wanted[first:end] = [0] * len(tokens)
        self._batch.n_tokens = end

    def put(self, token: int, position: int, sequence: int) -> int:
        """Put a token whose row is wanted; its number in the batch. Raises ContextFull."""
        slot: int = self._batch.n_tokens
        if slot == self._room:
            self._batch.n_tokens = 0
            raise ContextFull("the text does not fit the draft's context")
        self._tokens[slot] = token
        self._positions[slot] = position
        self._sequences[slot] = sequence
        self._wanted[slot] = 1
        self._batch.n_tokens = slot + 1
        return slot

    def decode(self) -> None:
        """Decode what was put.

        Raises ContextFull when too few cells are free, the KV being as before; DraftError when
        llama.cpp failed, the KV being anything.
        """
        count = self._batch.n_tokens
        status = llama_cpp.llama_decode(self._pointer, self._batch)
        self._batch.n_tokens = 0
        if status == _NO_ROOM:
            raise ContextFull("the draft's context has no room for more tokens")
        if status != 0:
            raise DraftError(f"llama.cpp could not decode: status {status}")
        self.decoded_tokens += count

    def row(self, slot: int) -> NDArray[np.float32]:
        """Logits after a token of the last batch, shape (vocabulary,): llama.cpp's own memory.

        Valid until the next decode.
        """
        address = _row_address(self._pointer, slot)
        if address is None:
            raise DraftError("llama.cpp has no logits for a token that was decoded")
        row = self._rows.get(address)
        if row is None:
            memory = (ctypes.c_float * self._vocabulary_size).from_address(address)
            # Not made read-only: numpy's argmax would copy it.
            row = self._rows[address] = np.ctypeslib.as_array(memory)
        return row

    # ---- the sequences

    def copy(self, source: int, target: int, end: int) -> None:
        """`target`, empty before, holds the cells of `source` before position `end`, too."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def cut(self, sequence: int, start: int) -> None:
        """Forget the sequence's cells from position `start` on."""
        if not llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, -1):
            raise DraftError("llama.cpp could not cut the draft's context")

    def keep(self, sequence: int) -> None:
        """Forget all other sequences."""
        llama_cpp.llama_memory_seq_keep(self._memory, sequence)

    def clear(self) -> None:
        """Forget everything, the cells' contents too: a NaN in one would reach all others."""
        self._batch.n_tokens = 0
        llama_cpp.llama_memory_clear(self._memory, True)

    @property
    def closed(self) -> bool:
        return self._pointer is None

    def close(self) -> None:
        """Free the cells; more than once does nothing."""
        if self._pointer is not None:
            self._rows.clear()
            llama_cpp.llama_free(self._pointer)
            self._pointer = None


def _open(model: Model, settings: ContextSettings, tokens: int) -> Any:
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = tokens
    parameters.n_ubatch = _PHYSICAL_BATCH
    # Logits of more rows are never asked for: with a large vocabulary the default costs 300 MB.
    parameters.n_seq_max = parameters.n_outputs_max = settings.branches
    parameters.kv_unified = True  # trees share the cells of their prefix
    parameters.type_k = parameters.type_v = settings.cache.value
    if settings.cache is CacheType.F32:  # flash attention rounds keys and values to float16
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    parameters.n_threads = parameters.n_threads_batch = settings.threads
    parameters.no_perf = True
    pointer = llama_cpp.llama_init_from_model(model.pointer, parameters)
    if not pointer:
        raise DraftError(f"llama.cpp could not make a context of {tokens} tokens")
    return pointer
