"""Trained weights into a GGUF file with an older file as the mould.

Everything but the weights stays the mould's: tokenizer, template, the type of each tensor, the
order. Rows that did not change keep their bytes, so unchanged weights give the same file and small
changes a small difference. It does not know training.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
from gguf import GGUFReader, ReaderTensor
from transformers import PreTrainedModel

from outrider_training.errors import (
    ModelUnreadableError,
    MouldMismatchError,
    TargetUnwritableError,
    WeightsDivergedError,
)
from outrider_training.families import OUTPUT, Weights, family_of, stored_tensors
from outrider_training.quantize import quantize

# Tables of the rotary embedding: no weights, and not in the model's state.
_KEPT: Final = frozenset(
    {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}
)

_LARGEST: Final = 65504.0  # of a half float, which holds the scales of nearly every type


@dataclass(frozen=True, slots=True)
class Casting:
    """What came of it."""

    size_bytes: int
    rows: int
    changed_rows: int


def cast(model: PreTrainedModel, mould: Path, target: Path) -> Casting:
    """Write `target`; a failure leaves an older file untouched.

    Raises ModelUnsupportedError, ModelUnreadableError, MouldMismatchError, TypeUnsupportedError,
    TargetUnwritableError.
    """
    with _copied(mould, target) as copy:
        reader = _open(copy, "r+", mould)
        rows = changed = 0
        for weights, tensor in _matched(reader, model, mould):
            rows += weights.size // weights.shape[-1]
            changed += _pour(weights, tensor)
        reader.data.flush()
    return Casting(target.stat().st_size, rows, changed)


def check_mould(model: PreTrainedModel, mould: Path) -> None:
    """Whether the weights could be cast into it, before anybody learns for hours.

    Raises what `cast` does.
    """
    if not mould.is_file():
        raise ModelUnreadableError(mould, "there is no such file")
    for _ in _matched(_open(mould, "r", mould), model, mould):
        pass


def _matched(
    reader: Any, model: PreTrainedModel, mould: Path
) -> Iterator[tuple[Weights, ReaderTensor]]:
    """The model's weights, each with the mould's tensor of that name; at the end none is left."""
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    _check_architecture(reader, model, mould)
    for name, weights in stored_tensors(model):
        if name == OUTPUT and name not in tensors and model.config.tie_word_embeddings:
            continue  # the mould shares the embedding as well
        yield weights, _matching(name, weights, tensors.pop(name, None), mould)
    if unknown := sorted(set(tensors) - _KEPT):
        raise MouldMismatchError(mould, f"has {unknown[0]}, the model does not")


@contextmanager
def _copied(mould: Path, target: Path) -> Iterator[Path]:
    """A copy to work on, which becomes the target when all went well."""
    partial = target.with_name(f"{target.name}.partial")
    try:
        if not mould.is_file():
            raise ModelUnreadableError(mould, "there is no such file")
        shutil.copyfile(mould, partial)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        raise TargetUnwritableError(target, error.strerror or str(error)) from error
    finally:
        partial.unlink(missing_ok=True)


def _open(path: Path, mode: str, shown: Path) -> Any:
    try:
        return GGUFReader(path, mode)
    except (ValueError, IndexError, KeyError) as error:
        raise ModelUnreadableError(shown, "it is no whole GGUF file") from error


def _check_architecture(reader: Any, model: PreTrainedModel, mould: Path) -> None:
    found = reader.fields["general.architecture"].contents()
    wanted = family_of(model.config).name
    if found != wanted:
        raise MouldMismatchError(mould, f"is of the architecture {found}, the model of {wanted}")


def _matching(
    name: str, weights: Weights, tensor: ReaderTensor | None, mould: Path
) -> ReaderTensor:
    if tensor is None:
        raise MouldMismatchError(mould, f"has no {name}")
    shape = tuple(reversed(tensor.shape.tolist()))
    if shape != weights.shape:
        raise MouldMismatchError(mould, f"has {name} of shape {shape}, the model {weights.shape}")
    return tensor


def _pour(weights: Weights, tensor: ReaderTensor) -> int:
    """Store the rows that differ from what the mould holds; how many they are.

    Raises WeightsDivergedError for numbers that the tensor's type cannot hold.
    """
    held = tensor.data.reshape(-1, tensor.data.shape[-1])
    fresh = weights.reshape(-1, weights.shape[-1])
    changed = (gguf.dequantize(held, tensor.tensor_type) != fresh).any(axis=1)
    if changed.any():
        if not np.abs(fresh[changed]).max() <= _LARGEST:  # nor is a NaN
            raise WeightsDivergedError(tensor.name)
        stored = quantize(fresh[changed], tensor.tensor_type)
        held[changed] = stored.view(held.dtype)
    return int(np.count_nonzero(changed))
