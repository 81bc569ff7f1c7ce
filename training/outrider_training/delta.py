"""The difference of two drafts of one mould, as a device applies it. See `releases.delta`."""

import os
import struct
from hashlib import file_digest
from pathlib import Path
from typing import Final

import zstandard

from outrider_edge.releases.delta import BLOCK_BYTES, DeltaHead, difference
from outrider_training.errors import MouldMismatchError, TargetUnwritableError

_LEVEL: Final = 19  # made once, fetched by every device


def make_delta(base: Path, new: Path, target: Path) -> int:
    """Its size in bytes. Raises MouldMismatchError for files of unlike length,
    TargetUnwritableError.
    """
    size_bytes = new.stat().st_size
    if base.stat().st_size != size_bytes:
        raise MouldMismatchError(base, f"is not as long as {new.name}: they are of two moulds")
    head = DeltaHead(BLOCK_BYTES, size_bytes, _sha256(base), _sha256(new))
    partial = target.with_name(f"{target.name}.partial")
    packer = zstandard.ZstdCompressor(level=_LEVEL)
    try:
        with base.open("rb") as before, new.open("rb") as after, partial.open("wb") as out:
            out.write(head.packed())
            while block := after.read(BLOCK_BYTES):
                frame = packer.compress(difference(before.read(len(block)), block))
                out.write(struct.pack("<I", len(frame)) + frame)
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TargetUnwritableError(target, error.strerror or str(error)) from error
    return target.stat().st_size


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()
