"""How much of a GGUF file's weights changed in another of its mould. It knows no training."""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGUFReader


def changes(base: Path, new: Path) -> dict[str, float]:
    """By tensor: root mean square of what changed over that of what was, both as stored."""
    older, newer = GGUFReader(base).tensors, GGUFReader(new).tensors
    found = {}
    for old, fresh in zip(older, newer, strict=True):
        before = gguf.dequantize(old.data, old.tensor_type)
        after = gguf.dequantize(fresh.data, fresh.tensor_type)
        found[old.name] = float(np.linalg.norm(after - before) / np.linalg.norm(before))
    return found
