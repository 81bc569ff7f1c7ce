"""An epoch as the device counts it: which nodes of the draft tree the cloud has been told of.

Node numbers on the wire count from 1 in the order of sending; the tree numbers its nodes as they
are drafted, and some are never sent. This module knows neither the log nor the verdicts.
"""

from collections.abc import Sequence

from outrider_edge.tree import DraftTree
from outrider_protos.words import Propose, TopRow


class Epoch:
    """One growing trie of proposals, rooted at a node of the draft tree."""

    def __init__(self, number: int, tree: DraftTree, root: int, at: int) -> None:
        self.number = number
        self.tree = tree
        self.root = root
        self.at = at
        self._sent = [root]  # by wire number
        self._wire_of = {root: 0}

    def __contains__(self, node: int) -> bool:
        return node in self._wire_of

    @property
    def sent(self) -> Sequence[int]:
        """Tree nodes in the order of their wire numbers; the first is the root."""
        return self._sent

    def node(self, wire_number: int) -> int:
        """The tree node with this number. Raises IndexError when none was sent under it."""
        return self._sent[wire_number]

    def propose(self, nodes: Sequence[int], top: tuple[TopRow, ...] | None) -> Propose:
        """The message that tells the cloud of these nodes, parents before children."""
        first = len(self._sent)
        parents = []
        for node in nodes:
            parents.append(self._wire_of[self.tree.parents[node]])
            self._wire_of[node] = len(self._sent)
            self._sent.append(node)
        chain = list(range(first - 1, first - 1 + len(nodes)))
        return Propose(
            epoch=self.number,
            at=self.at if first == 1 else 0,  # told once
            first_node=first,
            tokens=tuple(self.tree.tokens[node] for node in nodes),
            parents=None if parents == chain else tuple(parents),
            top=top,
        )
