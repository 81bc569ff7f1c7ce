"""The draft tree: what the device has drafted past one log position, chains and branches alike.

A trie of tokens rooted at the log's last token. It knows which branch the log took, not what was
sent to the cloud (see `wire`) nor when to draft more (see `policy`).
"""

from collections.abc import Sequence

from outrider_edge.draft import Leaf

ROOT = 0


class DraftTree:
    """Nodes are numbered from 1 as they are added; 0 is the root, the token at `at - 1`."""

    def __init__(self, log: Sequence[int]) -> None:
        self.at = len(log)
        self.tokens = [log[-1]]
        self.parents = [ROOT]
        self.depths = [0]
        self.scores = [1.0]  # estimated probability that the log runs through the node
        self.children: list[list[int]] = [[]]
        self.pointer = ROOT  # the deepest node that the log runs through
        self.ahead: list[int] = []  # nodes the log may still run through, in order of adding
        self.leaves = [ROOT]  # of these and the pointer: not expanded yet

    def __len__(self) -> int:
        return len(self.tokens) - 1

    def add(self, parent: int, token: int, probability: float) -> int:
        node = len(self.tokens)
        self.tokens.append(token)
        self.parents.append(parent)
        self.depths.append(self.depths[parent] + 1)
        self.scores.append(self.scores[parent] * probability)
        self.children.append([])
        self.children[parent].append(node)
        self.ahead.append(node)
        self.leaves.append(node)
        return node

    def position(self, node: int) -> int:
        """The log index of the node's token."""
        return self.at - 1 + self.depths[node]

    def leaf(self, node: int) -> Leaf:
        return Leaf(node=node, parent=self.parents[node], token=self.tokens[node])

    def follow(self, log: Sequence[int]) -> bool:
        """Walk on along the log; False once the log left the tree or ran past its leaves."""
        before = self.pointer
        while (reached := self.at + self.depths[self.pointer]) < len(log):
            step = [n for n in self.children[self.pointer] if self.tokens[n] == log[reached]]
            if not step:
                return False
            self.pointer = step[0]
        if self.pointer != before:
            self.leaves = [n for n in self.leaves if self.below(n, self.pointer)]
            self.ahead = [
                n for n in self.ahead if n != self.pointer and self.below(n, self.pointer)
            ]
        return True

    def below(self, node: int, ancestor: int) -> bool:
        """Is `node` the ancestor itself or a descendant of it?"""
        depth = self.depths[ancestor]
        while self.depths[node] > depth:
            node = self.parents[node]
        return node == ancestor

    def path(self, node: int, down_from: int) -> list[int]:
        """The nodes on the way to `node` whose position is `down_from` or more, shallow first."""
        nodes = []
        while node != ROOT and self.position(node) >= down_from:
            nodes.append(node)
            node = self.parents[node]
        nodes.reverse()
        return nodes

    def expanded(self, node: int) -> None:
        self.leaves.remove(node)

    def anchor(self) -> int:
        """The deepest expanded node that the log runs through; the root, if there is none."""
        if self.pointer in self.leaves:
            return self.parents[self.pointer]
        return self.pointer

    def tip(self) -> int:
        """The end of the first branch ahead of the log: what the text looks like now."""
        node = self.pointer
        while self.children[node]:
            node = self.children[node][0]
        return node
