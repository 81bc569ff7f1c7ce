"""An epoch: the growing trie of one device's proposals, and how far the log has run through it.

It knows tokens and node numbers, nothing of words, engines or time. The log only ever grows here.
"""

from collections.abc import Sequence
from typing import NamedTuple

from outrider_cloud.errors import PeerCode, PeerError
from outrider_protos.limits import MAX_EPOCH_NODES
from outrider_protos.words import Propose, TopRow


class Node:
    """One proposed token. `rank` counts its elder siblings."""

    __slots__ = ("alive", "children", "depth", "judged", "number", "rank", "token", "top")

    def __init__(
        self, number: int, token: int, depth: int, rank: int = 0, top: TopRow | None = None
    ) -> None:
        self.number = number
        self.token = token
        self.depth = depth
        self.rank = rank
        self.top = top
        self.children: dict[int, Node] = {}  # by token, in order of rank
        self.alive = True  # the log may still run through it, or has
        self.judged = False


class Comparison(NamedTuple):
    """The log went on where proposals stood: `matched` is the rank of the one that was right."""

    siblings: int
    matched: int | None


class EpochTrie:
    """Grows by `add`, then `follow`; node 0, the root, is the log up to `at`.

    `pointer` is the deepest node the log has reached. What hangs off the log's path is dropped, so
    the pointer has children only while they are still to be judged: at the end of the log.
    """

    def __init__(self, epoch: int, at: int) -> None:
        self.epoch = epoch
        self.at = at
        self.pointer = Node(0, 0, 0)  # the root's token is the log's, and never looked at
        self.stale = 0  # nodes dropped before anybody judged them
        self._lost = Node(0, 0, 0)  # stands for every node that came too late
        self._lost.alive = False
        self._nodes = [self.pointer]  # by number

    @property
    def length(self) -> int:
        """Log tokens up to the pointer."""
        return self.at + self.pointer.depth

    @property
    def pending(self) -> bool:
        """Whether nodes wait for the target, after `follow`."""
        return bool(self.pointer.children)

    @property
    def size(self) -> int:
        """Node numbers given so far, the root's left out."""
        return len(self._nodes) - 1

    def add(self, word: Propose) -> None:
        """Append the word's nodes; `follow` must be called next.

        A second child with the same token is the first one under another number. Raises PeerError,
        with nothing added, for a gap in the numbers, a parent that is not there yet, and too many.
        """
        first = len(self._nodes)
        parents = self._parents(word, first)
        tops = word.top or (None,) * len(word.tokens)
        for parent, token, top in zip(parents, word.tokens, tops, strict=True):
            self._nodes.append(self._child(self._nodes[parent], token, top))

    def follow(self, log: Sequence[int]) -> list[Comparison]:
        """Move the pointer along the log, and say how the proposals it passed have fared."""
        comparisons = []
        while self.length < len(log) and self.pointer.children:
            children = self.pointer.children
            child = children.get(log[self.length])
            comparisons.append(Comparison(len(children), None if child is None else child.rank))
            self._drop([node for node in children.values() if node is not child])
            if child is None:
                self.pointer.children = {}
            else:
                self.pointer = child
        return comparisons

    def close(self) -> None:
        """Nothing will be judged any more."""
        self._drop(list(self.pointer.children.values()))
        self.pointer.children = {}

    def _parents(self, word: Propose, first: int) -> Sequence[int]:
        if word.first_node != first:
            text = f"the epoch goes on at node {first}, not {word.first_node}"
            raise PeerError(PeerCode.OUT_OF_ORDER, text)
        last = first + len(word.tokens) - 1
        if last > MAX_EPOCH_NODES:
            text = f"an epoch of {last} nodes is above {MAX_EPOCH_NODES}"
            raise PeerError(PeerCode.TOO_LARGE, text)
        parents = range(first - 1, last) if word.parents is None else word.parents
        if any(not 0 <= parent < node for node, parent in enumerate(parents, first)):
            raise PeerError(PeerCode.OUT_OF_ORDER, "a parent does not come before its child")
        return parents

    def _child(self, parent: Node, token: int, top: TopRow | None) -> Node:
        twin = parent.children.get(token)
        if twin is not None:
            return twin
        if not parent.alive or parent.depth < self.pointer.depth:  # the log goes elsewhere
            self.stale += 1
            return self._lost
        number, rank = len(self._nodes), len(parent.children)
        node = Node(number, token, parent.depth + 1, rank, top)
        parent.children[token] = node
        return node

    def _drop(self, nodes: list[Node]) -> None:
        """These subtrees can no longer become the log."""
        while nodes:
            node = nodes.pop()
            nodes.extend(node.children.values())
            node.alive = False
            node.children, node.top = {}, None
            self.stale += not node.judged
