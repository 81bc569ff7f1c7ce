"""A GGUF file written whole or not at all. It does not know what is in it."""

import os
from pathlib import Path

from gguf import GGUFWriter

from outrider_training.errors import TargetUnwritableError


def write_whole(writer: GGUFWriter, target: Path) -> int:
    """Its size in bytes. An older file is replaced at the end; raises TargetUnwritableError."""
    partial = target.with_name(f"{target.name}.partial")
    try:
        writer.write_header_to_file(partial)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        size_bytes = partial.stat().st_size
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TargetUnwritableError(target, error.strerror or str(error)) from error
    return size_bytes
