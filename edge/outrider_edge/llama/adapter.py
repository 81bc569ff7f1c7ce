"""A low-rank change of a model's matrices (LoRA), in a GGUF file of its own.

It lies over a model that stays as it is: contexts opened with it compute the changed model, others
the plain one. It does not know what was learnt.
"""

import ctypes
import os
from pathlib import Path
from typing import Any, Final

import llama_cpp

from outrider_edge.errors import BadModelFile, DraftError
from outrider_edge.llama import library
from outrider_edge.llama.gguf_header import GgufHeader, file_id, read_header
from outrider_edge.llama.model import Model

BASE_KEY: Final = "outrider.adapter.base"  # `file_id` of the file it was learnt over


class Adapter:
    """Loads in the constructor; `close` it after its contexts, before its model. One thread."""

    def __init__(self, model: Model, path: Path) -> None:
        """Raises BadModelFile when it is no adapter, or one of another model."""
        header = read_header(path)
        _check(header, model)
        self.id = file_id(path)
        with library.listening():
            self._pointer: Any = llama_cpp.llama_adapter_lora_init(model.pointer, os.fsencode(path))
        if not self._pointer:
            raise BadModelFile(header.name, f"does not fit over {model.header.name}")

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
        raise BadModelFile(header.name, "is no LoRA adapter")
    if header.architecture != model.header.architecture:
        raise BadModelFile(
            header.name,
            f"changes the architecture {header.architecture}, "
            f"{model.header.name} is {model.header.architecture}",
        )
    base = header.text(BASE_KEY)
    if base is not None and base != model.id:
        raise BadModelFile(header.name, f"was made for another file than {model.header.name}")
