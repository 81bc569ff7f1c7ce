"""Which KV sequence holds which path of the draft's tree. Pure: the cells are behind a protocol.

All sequences share a base, the log before its last token; below it, each holds one path of nodes.
Sequences are a cache: when all are in use, the one unused for longest is given away, and its nodes
are decoded again should they be needed.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from outrider_edge.draft import Leaf
from outrider_edge.errors import BadInput

ROOT = 0


class Cells(Protocol):
    """KV cells, by sequence and position (see `context`)."""

    def copy(self, source: int, target: int, end: int) -> None: ...
    def cut(self, sequence: int, start: int) -> None: ...
    def keep(self, sequence: int) -> None: ...


@dataclass(slots=True)
class Node:
    """A node that was expanded at least once, or is about to be."""

    token: int
    parent: int | None  # None: the root
    depth: int


@dataclass(slots=True)
class Run:
    """Nodes to decode in one sequence, one after another; the last is the leaf."""

    sequence: int
    nodes: list[int]


class Branches:
    """The tree below the log's last token, which is the root, and the sequences holding it."""

    def __init__(self, cells: Cells, sequences: int) -> None:
        self._cells = cells
        self._paths: list[list[int] | None] = [None] * sequences
        self._uses = [0] * sequences  # when each was last extended
        self._clock = 0
        self._base = 0
        self.nodes: dict[int, Node] = {}

    def forget(self) -> None:
        """The cells are empty; what they held is unknown."""
        self._paths = [None] * len(self._paths)
        self.nodes = {}

    def restart(self, sequence: int, held: int, base: int, token: int) -> None:
        """Keep the first `held` cells of one sequence. The root, `token`, is at position `base`."""
        if self._occupied() > 1:
            self._cells.keep(sequence)
        self._cells.cut(sequence, held)
        self._paths = [None] * len(self._paths)
        self._paths[sequence] = []
        self._base = base
        self.nodes = {ROOT: Node(token, None, 0)}

    def longest(self, tokens: Sequence[int]) -> tuple[int, int]:
        """The sequence that holds most of a text below the base, and how much of it."""
        best = (0, 0)
        for sequence, path in self._held():
            count = 0
            for node, token in zip(path, tokens, strict=False):
                if self.nodes[node].token != token:
                    break
                count += 1
            if count > best[1] or self._paths[best[0]] is None:
                best = (sequence, count)
        return best

    def add(self, leaf: Leaf) -> int:
        """Make the leaf a node; its position. Raises BadInput when its parent is not one."""
        node = self.nodes.get(leaf.node)
        if node is None:
            parent = self.nodes.get(leaf.parent)
            if parent is None:
                raise BadInput("a leaf hangs below a node that was never expanded")
            node = self.nodes[leaf.node] = Node(leaf.token, leaf.parent, parent.depth + 1)
        return self._base + node.depth

    def place(self, leaves: Sequence[Leaf]) -> list[Run]:
        """A sequence for every leaf, no two alike, that holds its path up to the run's first node.

        At most as many leaves as there are sequences.
        """
        runs: list[Run | None] = []
        taken: set[int] = set()
        for leaf in leaves:
            sequence = self._ending_above(leaf.node, taken)
            if sequence is None:
                runs.append(None)
            else:
                taken.add(sequence)
                runs.append(Run(sequence, [leaf.node]))
        return [
            self._branch_off(leaf.node, taken) if run is None else run
            for leaf, run in zip(leaves, runs, strict=True)
        ]

    def extend(self, run: Run) -> None:
        """The run was decoded."""
        path = self._paths[run.sequence]
        assert path is not None, "runs are placed in sequences that hold something"
        path += run.nodes
        self._clock += 1
        self._uses[run.sequence] = self._clock

    def drop_all_but(self, sequences: Collection[int]) -> bool:
        """Free the cells of all others; False when there were none."""
        others = [sequence for sequence, _ in self._held() if sequence not in sequences]
        for sequence in others:
            self._cells.cut(sequence, 0)
            self._paths[sequence] = None
        return bool(others)

    def prune(self, node: int) -> None:
        """Forget sequences that do not pass `node`, if any does."""
        if self._occupied() > 1 and node in self.nodes:
            holders = [sequence for sequence, _ in self._held() if self._holds(sequence, node)]
            if holders:
                self.drop_all_but(holders)

    def _held(self) -> Iterator[tuple[int, list[int]]]:
        return ((s, path) for s, path in enumerate(self._paths) if path is not None)

    def _occupied(self) -> int:
        return len(self._paths) - self._paths.count(None)

    def _ending_above(self, node: int, taken: set[int]) -> int | None:
        """A sequence whose last node is the parent of this one."""
        parent = self.nodes[node].parent
        for sequence, path in enumerate(self._paths):
            if path is not None and (path[-1] if path else None) == parent:  # noqa: SIM102
                if sequence not in taken:
                    return sequence
        return None

    def _holds(self, sequence: int, node: int) -> bool:
        path, depth = self._paths[sequence], self.nodes[node].depth
        return path is not None and depth < len(path) and path[depth] == node

    def _branch_off(self, node: int, taken: set[int]) -> Run:
        missing = [node]
        ancestor = self.nodes[node].parent
        while ancestor is not None and self._holder(ancestor) is None:
            missing.append(ancestor)
            ancestor = self.nodes[ancestor].parent
        depth = self.nodes[missing[-1]].depth
        source = self._holder(ancestor)
        assert source is not None, "every sequence in use holds the base"
        target = self._free(taken)
        self._move(source, target, depth)
        taken.add(target)
        return Run(target, missing[::-1])

    def _holder(self, node: int | None) -> int | None:
        """A sequence that holds the node; None means the base."""
        held = self._held()
        return next((s for s, _ in held if node is None or self._holds(s, node)), None)

    def _free(self, taken: set[int]) -> int:
        """An unused sequence, or the one unused for longest."""
        open_ = [s for s in range(len(self._paths)) if s not in taken]
        return min(open_, key=lambda s: (self._paths[s] is not None, self._uses[s]))

    def _move(self, source: int, target: int, depth: int) -> None:
        """`target` holds the base and the first `depth` nodes of `source`, and nothing else."""
        path = self._paths[source]
        assert path is not None, "a source holds something"
        if target == source:
            self._cells.cut(target, self._base + depth)
        else:
            if self._paths[target] is not None:
                self._cells.cut(target, 0)
            self._cells.copy(source, target, self._base + depth)
        self._paths[target] = path[:depth]
