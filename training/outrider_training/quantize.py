"""Tensors in the types GGUF stores, through the ggml library that llama-cpp-python ships.

It does not know models, only matrices: gguf-py alone cannot write K-quants.
"""

import ctypes
from enum import Enum
from functools import cache
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, LlamaFileType

from outrider_training.errors import QuantizerMissingError, TypeUnsupportedError


class StorageType(Enum):
    """The types a conversion may be asked for."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"
    Q4_K = "q4_k"
    Q5_K = "q5_k"
    Q6_K = "q6_k"

    @property
    def ggml(self) -> GGMLQuantizationType:
        """The tensor type."""
        return GGMLQuantizationType[self.name]

    @property
    def file_type(self) -> LlamaFileType:
        """What the header calls a file of mostly this type."""
        return _FILE_TYPES[self]

    def fits(self, row_length: int) -> bool:
        """Whether rows of this length divide into blocks of this type."""
        block, _ = gguf.GGML_QUANT_SIZES[self.ggml]
        return bool(row_length % block == 0)

    def for_rows(self, row_length: int) -> "StorageType":
        """This type, or the first of q8_0 and f16 whose blocks the rows divide into."""
        return next(
            kind for kind in (self, StorageType.Q8_0, StorageType.F16) if kind.fits(row_length)
        )


_FILE_TYPES = {
    StorageType.F32: LlamaFileType.ALL_F32,
    StorageType.F16: LlamaFileType.MOSTLY_F16,
    StorageType.BF16: LlamaFileType.MOSTLY_BF16,
    StorageType.Q8_0: LlamaFileType.MOSTLY_Q8_0,
    StorageType.Q4_0: LlamaFileType.MOSTLY_Q4_0,
    StorageType.Q4_K: LlamaFileType.MOSTLY_Q4_K_S,
    StorageType.Q5_K: LlamaFileType.MOSTLY_Q5_K_S,
    StorageType.Q6_K: LlamaFileType.MOSTLY_Q6_K,
}


# Of the others, some need an importance matrix and some are for activations alone.
_WRITABLE = frozenset(
    GGMLQuantizationType[name]
    for name in (
        *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"),
        *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "IQ3_S", "IQ2_S"),
        "MXFP4",
    )
)


@cache
def _ggml() -> ctypes.CDLL:
    folder = Path(llama_cpp.__file__).parent / "lib"
    found = sorted(folder.glob("*ggml-base.*"))
    if not found:
        raise QuantizerMissingError(folder)
    library = ctypes.CDLL(str(found[0]))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,  # type
        ctypes.c_void_p,  # source, float32
        ctypes.c_void_p,  # destination
        ctypes.c_int64,  # first element
        ctypes.c_int64,  # rows
        ctypes.c_int64,  # elements per row
        ctypes.c_void_p,  # importance matrix, none
    ]
    return library


def quantize(weights: npt.NDArray[np.float32], kind: GGMLQuantizationType) -> npt.NDArray[np.uint8]:
    """Bytes of shape (..., bytes per row) of weights of shape (..., row length).

    Raises TypeUnsupportedError for types that ggml writes only with an importance matrix, or not.
    """
    if kind not in _WRITABLE:
        raise TypeUnsupportedError(kind.name)
    source = np.ascontiguousarray(weights, np.float32)
    row_length = source.shape[-1]
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    stored = np.empty((*source.shape[:-1], row_length // block * block_bytes), np.uint8)
    written = _ggml().ggml_quantize_chunk(
        int(kind),
        source.ctypes.data,
        stored.ctypes.data,
        0,
        source.size // row_length,
        row_length,
        None,
    )
    assert written == stored.nbytes
    return stored
