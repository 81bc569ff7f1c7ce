"""What the cloud has been told of the draft tree, and what its commits mean in it.

Epochs begin and end here. This module knows neither when a span is ripe nor how the log grows.
"""

from collections.abc import Sequence

from outrider_edge.epoch import Epoch
from outrider_edge.errors import ProtocolError
from outrider_edge.tree import DraftTree
from outrider_protos.limits import MAX_EPOCH_NODES, MAX_PROPOSE_NODES
from outrider_protos.words import Commit, Propose, TopRow


class Proposals:
    """The epochs of one generation; `with_top` sends the draft's top row with every node."""

    def __init__(self, *, with_top: bool, most_nodes: int = MAX_EPOCH_NODES) -> None:
        self._with_top = with_top
        self._most_nodes = most_nodes
        self._tops: dict[int, TopRow] = {}  # of nodes of the present tree
        self._epoch: Epoch | None = None
        self._previous: Epoch | None = None
        self._count = 0
        self._asked_at: int | None = None  # log length at which "decode one yourself" was said

    def reconnected(self) -> None:
        """The cloud knows nothing of any epoch."""
        self._epoch = self._previous = self._asked_at = None

    def replanted(self) -> None:
        """The draft tree is another one now."""
        self._tops = {}

    def note(self, node: int, top: TopRow | None) -> None:
        """Keep what must travel with the node."""
        if top is not None:
            self._tops[node] = top

    def send(self, tree: DraftTree, nodes: Sequence[int], length: int) -> list[Propose]:
        """Tell of these nodes, which continue the log of `length` tokens; see `in` for which.

        An epoch takes so many nodes and no more. The next one begins when nothing of the full one
        is left to judge; until then the rest must wait.
        """
        epoch = self._epoch
        if epoch is None or epoch.tree is not tree or tree.pointer not in epoch:
            epoch = self._start(tree, length)
        full = self._room(epoch) == 0
        if full and not any(node in epoch for node in tree.ahead):
            epoch = self._start(tree, length)
        nodes = nodes[: self._room(epoch)]
        words = []
        for start in range(0, len(nodes), MAX_PROPOSE_NODES):
            part = nodes[start : start + MAX_PROPOSE_NODES]
            tops = tuple(self._tops[n] for n in part) if self._with_top else None
            words.append(epoch.propose(part, tops))
        return words

    def _room(self, epoch: Epoch) -> int:
        return self._most_nodes + 1 - len(epoch.sent)  # the root is no node of the wire

    def __contains__(self, node: int) -> bool:
        """Does the present epoch have this node of the present tree?"""
        return self._epoch is not None and node in self._epoch

    def ask(self, tree: DraftTree, length: int) -> Propose:
        """Let the cloud decode one token by itself."""
        epoch = self._start(tree, length)
        self._asked_at = length
        return Propose(epoch=epoch.number, at=length, first_node=1, tokens=())

    def outstanding(self, tree: DraftTree, length: int) -> bool:
        """Is there anything the cloud has been told and has not judged?"""
        if self._asked_at == length:
            return True
        epoch = self._epoch
        if epoch is None or epoch.tree is not tree:
            return False
        return any(node in epoch for node in tree.ahead)

    def path(self, commit: Commit, tree: DraftTree, length: int) -> list[int]:
        """Tokens of the commit's path that a log of `length` tokens does not have yet.

        Raises ProtocolError for a node that was never sent, or that this log cannot reach.
        """
        epoch = self._named(commit)
        if commit.node == 0 or epoch is None:
            return []  # an epoch of long ago: what stood of it is in the log already
        if commit.node >= len(epoch.sent):
            raise ProtocolError("the cloud names a node that was never proposed")
        nodes = epoch.tree.path(epoch.node(commit.node), length)
        if nodes and epoch.tree.parents[nodes[0]] != tree.pointer:
            raise ProtocolError("the cloud names a node on a branch the log did not take")
        return [epoch.tree.tokens[n] for n in nodes]

    def choices(self, commit: Commit) -> dict[int, int]:
        """What the target would write, by log index, where the commit tells."""
        epoch = self._named(commit)
        if commit.choices is None or epoch is None:
            return {}
        if any(node >= len(epoch.sent) for node, _ in commit.choices):
            raise ProtocolError("the cloud names a node that was never proposed")
        return {epoch.tree.position(epoch.node(n)) + 1: choice for n, choice in commit.choices}

    def _named(self, commit: Commit) -> Epoch | None:
        for epoch in (self._epoch, self._previous):
            if epoch is not None and epoch.number == commit.epoch:
                return epoch
        return None

    def _start(self, tree: DraftTree, length: int) -> Epoch:
        self._previous = self._epoch
        self._count += 1
        self._epoch = Epoch(self._count, tree, tree.pointer, length)
        return self._epoch
