"""Epochs fill up, and the next one waits until nothing of the full one is left to judge."""

from outrider_edge.proposals import Proposals
from outrider_edge.tree import DraftTree


def chain(tree: DraftTree, parent: int, tokens: list[int]) -> list[int]:
    nodes = []
    for token in tokens:
        parent = tree.add(parent, token, 0.9)
        nodes.append(parent)
    return nodes


def test_a_full_epoch_takes_no_more_until_it_is_judged() -> None:
    tree = DraftTree([7])
    proposals = Proposals(with_top=False, most_nodes=3)
    nodes = chain(tree, 0, [1, 2, 3, 4, 5])
    (first,) = proposals.send(tree, nodes, 1)
    assert (first.epoch, first.tokens) == (1, (1, 2, 3))
    assert proposals.send(tree, nodes[3:], 1) == []
    tree.follow([7, 1, 2])
    assert proposals.send(tree, nodes[3:], 3) == []
    tree.follow([7, 1, 2, 3])
    (second,) = proposals.send(tree, nodes[3:], 4)
    assert (second.epoch, second.at, second.first_node, second.tokens) == (2, 4, 1, (4, 5))


def test_a_branch_keeps_its_parents_over_the_change_of_epochs() -> None:
    tree = DraftTree([7])
    proposals = Proposals(with_top=False, most_nodes=2)
    left, right = chain(tree, 0, [1]), chain(tree, 0, [2])
    proposals.send(tree, [*left, *right], 1)
    below = chain(tree, right[0], [3])
    assert proposals.send(tree, below, 1) == []
    tree.follow([7, 2])
    (word,) = proposals.send(tree, below, 2)
    assert (word.epoch, word.at, word.tokens, word.parents) == (2, 2, (3,), None)
