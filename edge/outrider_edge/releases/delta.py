"""A new draft as its difference from the one a device has: both are of one mould, so of one length.

Byte by byte, modulo 256, in blocks that are compressed one by one: small changes of quantised
weights are small numbers, which compress better than their exclusive or. Memory is a few blocks,
whatever the size. It knows neither where files come from nor what is in them.

    magic, block bytes u32, length u64, SHA-256 of base and of result, then for every block
    its compressed length u32 and one zstd frame
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest, sha256
from io import BufferedReader
from pathlib import Path
from typing import IO, Final

import numpy as np
import zstandard

from outrider_edge.errors import BadRelease

BLOCK_BYTES: Final = 1 << 20
MAX_BLOCK_BYTES: Final = 1 << 24
_MAGIC: Final = b"OUTRDLT1"
_HEAD: Final = struct.Struct("<8sIQ32s32s")
_LENGTH: Final = struct.Struct("<I")
# Read, added and written at once: what fits a core's cache, and files grow by small pages, which
# are always at hand; a virtual machine may have to ask its host for large ones.
_PIECE_BYTES: Final = 1 << 17
_SLACK_BYTES: Final = 1 << 12  # what a frame of noise is longer than its block, at most


@dataclass(frozen=True, slots=True)
class DeltaHead:
    """What a delta is between."""

    block_bytes: int
    size_bytes: int
    base_sha256: bytes
    result_sha256: bytes

    def packed(self) -> bytes:
        values = (self.block_bytes, self.size_bytes, self.base_sha256, self.result_sha256)
        return _HEAD.pack(_MAGIC, *values)


def difference(base: bytes, new: bytes) -> bytes:
    """Of two blocks of one length."""
    return (np.frombuffer(new, np.uint8) - np.frombuffer(base, np.uint8)).tobytes()


def apply_delta(base: Path, delta: Path, target: Path) -> None:
    """Write `target`, which is only whole if this returns.

    Raises BadRelease for a delta that is damaged or of another base, OSError as it comes.
    """
    with base.open("rb") as old, delta.open("rb") as changes, target.open("wb") as out:
        head = _read_head(changes)
        made = sha256()
        for piece in _pieces(changes, head):
            before = old.read(len(piece))
            if len(before) != len(piece):
                raise BadRelease("it was made for a longer file than is here")
            after = np.frombuffer(before, np.uint8) + np.frombuffer(piece, np.uint8)
            made.update(after.data)
            out.write(after.data)
        # A right result had the right base. That is hashed only to say what went wrong.
        wrong = made.digest() != head.result_sha256
        if old.read(1) or (wrong and _differs(old, head)):
            raise BadRelease("it was made for another file than is here")
        if wrong:
            raise BadRelease("it does not make the file it promises")


def _differs(old: BufferedReader, head: DeltaHead) -> bool:
    old.seek(0)
    return file_digest(old, "sha256").digest() != head.base_sha256


def _read_head(changes: IO[bytes]) -> DeltaHead:
    data = changes.read(_HEAD.size)
    if len(data) != _HEAD.size or not data.startswith(_MAGIC):
        raise BadRelease("it is no delta")
    _, *values = _HEAD.unpack(data)
    head = DeltaHead(*values)
    if not 0 < head.block_bytes <= MAX_BLOCK_BYTES:
        raise BadRelease("it is malformed: its blocks have no sensible size")
    return head


def _pieces(changes: IO[bytes], head: DeltaHead) -> Iterator[memoryview]:
    left, unpacker = head.size_bytes, zstandard.ZstdDecompressor()
    while left:
        size = min(left, head.block_bytes)
        prefix = changes.read(_LENGTH.size)
        length = _LENGTH.unpack(prefix)[0] if len(prefix) == _LENGTH.size else 0
        if not 0 < length <= size + _SLACK_BYTES:
            raise BadRelease("it is cut short or malformed")
        frame = changes.read(length)
        try:
            # Room is made for what a frame says it holds, before it is seen to hold it.
            if zstandard.frame_content_size(frame) != size:
                raise BadRelease("it is malformed: a block is not as long as it should be")
            block = memoryview(unpacker.decompress(frame))
        except zstandard.ZstdError as error:
            raise BadRelease("it is damaged") from error
        left -= size
        for start in range(0, size, _PIECE_BYTES):
            yield block[start : start + _PIECE_BYTES]
    if changes.read(1):
        raise BadRelease("it is malformed: it goes on after its end")
