"""A draft that is as quick as another and never right: its output rows are shuffled.

It knows GGUF files, not models.
"""

import shutil
from pathlib import Path

import numpy as np
from gguf import GGUFReader

_OUTPUT = "output.weight"
_EMBEDDING = "token_embd.weight"  # where there is no output layer of its own


def spoil_draft(source: Path, target: Path, seed: int = 0) -> None:
    """Write the spoilt copy. Raises ValueError if the file has no output rows to shuffle."""
    shutil.copyfile(source, target)
    tensors = {tensor.name: tensor for tensor in GGUFReader(target, "r+").tensors}
    tensor = tensors.get(_OUTPUT) or tensors.get(_EMBEDDING)
    if tensor is None:
        raise ValueError(f"{source} has neither {_OUTPUT} nor {_EMBEDDING}")
    order = np.random.default_rng(seed).permutation(len(tensor.data))
    tensor.data[:] = np.array(tensor.data)[order]
    tensor.data.flush()
