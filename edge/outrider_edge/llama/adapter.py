"""A low-rank change of a model's matrices (LoRA), in a GGUF file of its own.

It lies over a model that stays as it is: contexts opened with it compute the changed model, others
the plain one. It does not know what was learnt.
"""

import ctypes
import math
import os
from pathlib import Path
from typing import Any, Final

import llama_cpp

from outrider_edge.errors import BadAdapter, DraftError
from outrider_edge.llama import library
from outrider_edge.llama.gguf_header import GgufHeader, file_id, read_header
from outrider_edge.llama.model import Model

_MATRIX_TYPES: Final = frozenset({0, 1, 8, 30})  # F32, F16, Q8_0, BF16; others crash llama.cpp
_ALPHA: Final = "adapter.lora.alpha"
BASE_KEY: Final = "outrider.adapter.base"  # `file_id` of the file it was learnt over


class Adapter:
    """Loads in the constructor; `close` it after its contexts, before its model. One thread."""

    def __init__(self, model: Model, path: Path) -> None:
        """Raises BadAdapter when it is none, or one of another model; BadModelFile for no GGUF."""
        header = read_header(path)
        _check(header, model)
        self.id = file_id(path)
        with library.listening():
            self._pointer: Any = llama_cpp.llama_adapter_lora_init(model.pointer, os.fsencode(path))
        if not self._pointer:
            raise BadAdapter(header.name, f"does not fit over {model.header.name}")

    def apply(self, context: Any) -> None:
        """Let llama.cpp's context compute the changed model; it must hold nothing yet."""
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(self._pointer)
        if llama_cpp.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0)):
            raise DraftError("llama.cpp could not apply the adapter")

    def close(self) -> None:
        """Free it; once is enough, more does nothing."""
        if self._pointer is not None:
            llama_cpp.llama_adapter_lora_free(self._pointer)
            self._pointer = None


def is_adapter(header: GgufHeader) -> bool:
    """Whether a file holds a change instead of a model."""
    return header.text("general.type") == "adapter"


def _check(header: GgufHeader, model: Model) -> None:
    if not is_adapter(header) or header.text("adapter.type") != "lora":
        raise BadAdapter(header.name, "is no LoRA adapter")
    if header.architecture != model.header.architecture:
        raise BadAdapter(
            header.name,
            f"changes the architecture {header.architecture}, "
            f"{model.header.name} is {model.header.architecture}",
        )
    _check_matrices(header)
    base = header.text(BASE_KEY)
    if base is not None and base != model.id:
        raise BadAdapter(header.name, f"was made for another file than {model.header.name}")


def _check_matrices(header: GgufHeader) -> None:
    alpha = header.values.get(_ALPHA)
    if not isinstance(alpha, float) or not math.isfinite(alpha):
        raise BadAdapter(header.name, "is malformed: its alpha is no number")
    if not header.tensors:
        raise BadAdapter(header.name, "is malformed: it changes nothing")
    for name, kind in header.tensors.items():
        if not name.endswith((".lora_a", ".lora_b")) or kind not in _MATRIX_TYPES:
            raise BadAdapter(header.name, f"is malformed: {name} is no matrix of a LoRA")
