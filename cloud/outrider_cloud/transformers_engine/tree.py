"""The shape of one session's proposal: depths and ancestors. Plain numbers, no tensors of torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def is_chain(parents: Sequence[int]) -> bool:
    """Whether every node follows the one before it."""
    return all(parent == before for before, parent in enumerate(parents))


def depths(parents: Sequence[int]) -> list[int]:
    """Per row (0 is the root), how many nodes lead to it."""
    found = [0]
    for parent in parents:
        found.append(found[parent] + 1)
    return found


def ancestors(parents: Sequence[int]) -> NDArray[np.bool_]:
    """Which nodes each node follows, itself included: bool [nodes, nodes], node 1 at 0."""
    follows = np.eye(len(parents), dtype=np.bool_)
    for node, parent in enumerate(parents):
        if parent > 0:
            follows[node] |= follows[parent - 1]
    return follows


def is_path(parents: Sequence[int], nodes: Sequence[int]) -> bool:
    """Whether `nodes` (1-based) lead from the root downwards without a gap."""
    before = 0
    for node in nodes:
        if not (0 < node <= len(parents) and parents[node - 1] == before):
            return False
        before = node
    return True
