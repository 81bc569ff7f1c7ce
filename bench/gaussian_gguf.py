"""Two GGUF files of random weights, the second a slight update of the first, for sizes alone.

Weights and update are Gaussian. It knows types and matrices, no model: nothing runs such a file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGUFWriter
from numpy.typing import NDArray

from outrider_training.quantize import StorageType, quantize

_DEVIATION = np.float32(0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What the two files hold. With `from_file` the newer one was learnt from what the older one
    says; without, both were made of the weights of one student that learnt on.
    """

    kind: StorageType
    relative: float  # deviation of the update over that of the weights
    from_file: bool = False
    matrices: int = 1
    rows: int = 1024
    row_length: int = 1024
    seed: int = 0


def write_pair(pair: Pair, base: Path, new: Path) -> None:
    """Memory is a few matrices, whatever their number."""
    chance = np.random.default_rng(pair.seed)
    sample = quantize(np.zeros((pair.rows, pair.row_length), np.float32), pair.kind.ggml)
    writers = [_begun(path, pair, sample) for path in (base, new)]
    for _ in range(pair.matrices):
        for writer, stored in zip(writers, _stored(chance, pair), strict=True):
            writer.write_tensor_data(stored)
    for writer in writers:
        writer.close()


def _begun(path: Path, pair: Pair, sample: NDArray[np.uint8]) -> GGUFWriter:
    writer = GGUFWriter(path, "llama")
    for number in range(pair.matrices):
        name, kind = f"blk.{number}.ffn_up.weight", pair.kind.ggml
        writer.add_tensor_info(name, sample.shape, sample.dtype, sample.nbytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    return writer


def _stored(chance: np.random.Generator, pair: Pair) -> Iterator[NDArray[np.uint8]]:
    """A matrix of the older file, then of the newer one: shape (rows, bytes of a row)."""
    shape = pair.rows, pair.row_length
    weights = _DEVIATION * chance.standard_normal(shape, np.float32)
    older = quantize(weights, pair.kind.ggml)
    yield older
    if pair.from_file:
        weights = gguf.dequantize(older, pair.kind.ggml)
    scale = _DEVIATION * np.float32(pair.relative)
    yield quantize(weights + scale * chance.standard_normal(shape, np.float32), pair.kind.ggml)
