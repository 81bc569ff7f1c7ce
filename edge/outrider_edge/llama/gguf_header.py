"""What a GGUF file says about itself, read without its weights.

Also refuses files that are no GGUF, cut short, or malformed, before llama.cpp sees them. It does
not know what llama.cpp supports. Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, file_digest, sha256
from pathlib import Path
from typing import Any, Final

from gguf.constants import GGML_QUANT_SIZES

from outrider_edge.errors import BadModelFile
from outrider_protos.fingerprint import TokenizerFacts
from outrider_protos.limits import DIGEST_BYTES

Scalar = int | float | bool | str
Value = Scalar | Sequence[Scalar]

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_MAX_KEYS: Final = 1 << 16
_MAX_TENSORS: Final = 1 << 16
_MAX_DIMENSIONS: Final = 4
_MAX_ITEMS: Final = 1 << 21  # of all arrays: a vocabulary of 2^18 tokens with its merges has 1.3 M
_MAX_TEXT_BYTES: Final = 1 << 26  # of all strings
_DEFAULT_ALIGNMENT: Final = 32
_STRING: Final = 8
_ARRAY: Final = 9
_SCALARS: Final[Mapping[int, str]] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_KINDS: Final = {"gpt2": "bpe", "llama": "spm"}
_BLOCKS: Final = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}


class _Malformed(Exception):
    """Says what is wrong; becomes a BadModelFile that also names the file."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The key-value part of a GGUF file: what kind of model, and its tokenizer."""

    name: str  # of the file, without its folder
    values: Mapping[str, Value]
    tensors: Mapping[str, int]  # ggml's number of each one's type
    weights_offset: int  # bytes before the weights

    @property
    def architecture(self) -> str:
        return self.text("general.architecture") or "unknown"

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        value = self.values.get(key)
        return value if isinstance(value, int) else None

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of strings; empty if there is none."""
        return tuple(item for item in self._array(key) if isinstance(item, str))

    def numbers(self, key: str) -> tuple[int, ...]:
        """An array of integers; empty if there is none."""
        return tuple(item for item in self._array(key) if isinstance(item, int))

    def tokenizer(self) -> TokenizerFacts:
        """For the fingerprint. Raises BadModelFile when the file has no tokenizer."""
        kind, tokens = self.text("tokenizer.ggml.model"), self.texts("tokenizer.ggml.tokens")
        if kind is None or not tokens:
            raise BadModelFile(self.name, "has no tokenizer")
        return TokenizerFacts(
            kind=_KINDS.get(kind, kind),
            tokens=tokens,
            merges=self.texts("tokenizer.ggml.merges"),
        )

    def _array(self, key: str) -> Sequence[Scalar]:
        value = self.values.get(key)
        return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def read_header(path: Path) -> GgufHeader:
    """Raises BadModelFile."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return GgufHeader(path.name, *_read(data))
    except FileNotFoundError as error:
        raise BadModelFile(path.name, "there is no such file") from error
    except IsADirectoryError as error:
        raise BadModelFile(path.name, "is a folder, not a GGUF file") from error
    except OSError as error:
        raise BadModelFile(path.name, f"cannot be read: {error.strerror}") from error
    except (_Malformed, UnicodeDecodeError) as error:
        problem = str(error) if isinstance(error, _Malformed) else "holds text that is not UTF-8"
        raise BadModelFile(path.name, problem) from error
    except ValueError as error:  # mmap refuses an empty file
        raise BadModelFile(path.name, "is empty") from error


def file_id(path: Path) -> str:
    """Of the whole file: two are one only if every byte is the same. Raises BadModelFile."""
    try:
        with path.open("rb") as file:
            return file_digest(file, lambda: blake2b(digest_size=DIGEST_BYTES)).hexdigest()
    except OSError as error:
        raise BadModelFile(path.name, f"cannot be read: {error.strerror}") from error


def mould_id(path: Path) -> str:
    """SHA-256 of everything but the weights: files of one mould have one form and one length.

    Raises BadModelFile.
    """
    offset = read_header(path).weights_offset
    try:
        with path.open("rb") as file:
            digest = sha256(path.stat().st_size.to_bytes(8, "little"))
            digest.update(file.read(offset))
    except OSError as error:
        raise BadModelFile(path.name, f"cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _read(data: mmap.mmap) -> tuple[Mapping[str, Value], Mapping[str, int], int]:
    if data[:4] != _MAGIC:
        raise _Malformed("is not a GGUF file")
    cursor = _Cursor(data)
    version, tensor_count, key_count = cursor.unpack("<IQQ")
    if version not in _VERSIONS:
        raise _Malformed(f"is GGUF version {version}; versions 2 and 3 are known")
    if tensor_count > _MAX_TENSORS or key_count > _MAX_KEYS:
        raise _Malformed("is malformed: it claims an absurd number of entries")
    values = {}
    for _ in range(key_count):
        key = cursor.string()
        values[key] = cursor.value()
    alignment = values.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise _Malformed("is malformed: its alignment is not a positive number")
    tensors, needed = {}, 0
    for _ in range(tensor_count):
        name, kind, end = cursor.tensor()
        tensors[name], needed = kind, max(needed, end)
    start = -(-cursor.offset // alignment) * alignment
    if start + needed > len(data):
        raise _Malformed(f"is cut short: {start + needed - len(data)} bytes are missing")
    return values, tensors, start


class _Cursor:
    """A position in the file that only moves on, and never past its end; what it returns is
    bounded in all, so that a device may read what nobody has tried yet.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.offset = len(_MAGIC)
        self._items_left, self._text_bytes_left = _MAX_ITEMS, _MAX_TEXT_BYTES

    def unpack(self, layout: str) -> tuple[Any, ...]:
        size = struct.calcsize(layout)
        if self.offset + size > len(self._data):
            raise _Malformed("is cut short inside its header")
        values = struct.unpack_from(layout, self._data, self.offset)
        self.offset += size
        return values

    def string(self) -> str:
        return self.strings(1)[0]

    def strings(self, count: int) -> tuple[str, ...]:
        data, offset, end = self._data, self.offset, len(self._data)
        left = self._text_bytes_left
        read_length = struct.Struct("<Q").unpack_from
        found = []
        for _ in range(count):
            if offset + 8 > end:
                raise _Malformed("is cut short inside its header")
            (length,) = read_length(data, offset)
            left -= length
            if left < 0:
                raise _Malformed("is malformed: it claims a text of absurd length")
            first, offset = offset + 8, offset + 8 + length
            found.append(data[first:offset].decode())
        self.offset, self._text_bytes_left = offset, left
        return tuple(found)

    def value(self) -> Value:
        (kind,) = self.unpack("<I")
        if kind != _ARRAY:
            return self._items(kind, 1)[0]
        kind, count = self.unpack("<IQ")
        return self._items(kind, count)

    def _items(self, kind: int, count: int) -> Sequence[Scalar]:
        self._items_left -= count
        if self._items_left < 0:
            raise _Malformed("is malformed: it claims an array of absurd length")
        if kind == _STRING:
            return self.strings(count)
        if kind not in _SCALARS:
            raise _Malformed(f"is malformed: it holds a value of unknown type {kind}")
        return self.unpack(f"<{count}{_SCALARS[kind]}")

    def tensor(self) -> tuple[str, int, int]:
        """The next one's name and type, and where it ends, in bytes from the start of the weights.

        A type this module does not know counts as nothing: llama.cpp will judge it.
        """
        name = self.string()
        (dimensions,) = self.unpack("<I")
        if dimensions > _MAX_DIMENSIONS:
            raise _Malformed(f"is malformed: a tensor has {dimensions} dimensions")
        elements = 1
        for length in self.unpack(f"<{dimensions}Q"):
            elements *= length
        kind, offset = self.unpack("<IQ")
        block, block_bytes = _BLOCKS.get(kind, (1, 0))
        return name, kind, offset + elements // block * block_bytes
