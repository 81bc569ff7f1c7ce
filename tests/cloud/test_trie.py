"""The epoch's trie: numbers, the walk along the log, and what is too late."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud.errors import PeerCode, PeerError
from outrider_cloud.trie import Comparison, EpochTrie
from outrider_protos.limits import MAX_EPOCH_NODES
from outrider_protos.words import Propose


def propose(first: int, tokens: list[int], parents: list[int] | None = None) -> Propose:
    return Propose(1, 3, first, tuple(tokens), None if parents is None else tuple(parents))


def waiting(trie: EpochTrie) -> set[int]:
    """Numbers of the nodes that wait for the target."""
    found: set[int] = set()
    nodes = list(trie.pointer.children.values())
    while nodes:
        node = nodes.pop()
        found.add(node.number)
        nodes += node.children.values()
    return found


def test_a_chain_follows_the_node_before_it() -> None:
    trie = EpochTrie(1, 3)
    trie.add(propose(1, [5, 6]))
    trie.add(propose(3, [7]))
    trie.follow([1, 2, 3, 5, 6, 7])
    assert trie.pointer.number == 3
    assert trie.length == 6


def test_a_late_node_that_matches_the_log_moves_the_pointer() -> None:
    trie = EpochTrie(1, 3)
    trie.add(propose(1, [5]))
    log = [1, 2, 3, 5, 6, 7]
    trie.follow(log)
    assert trie.pointer.number == 1
    trie.add(propose(2, [6, 7, 8]))
    trie.follow(log)
    assert trie.pointer.number == 3
    assert waiting(trie) == {4}
    assert trie.stale == 0


def test_a_second_child_with_the_same_token_is_the_first_one() -> None:
    trie = EpochTrie(1, 3)
    trie.add(propose(1, [5, 5, 6, 7], [0, 0, 1, 2]))
    assert waiting(trie) == {1, 3, 4}
    trie.follow([1, 2, 3, 5, 7])
    assert trie.pointer.number == 4
    trie.add(propose(5, [8], [4]))
    assert waiting(trie) == {5}


def test_nodes_off_the_log_are_dropped_and_counted_once() -> None:
    trie = EpochTrie(1, 3)
    trie.add(propose(1, [5, 6, 9, 4], [0, 0, 2, 2]))
    trie.follow([1, 2, 3, 5])
    assert trie.stale == 3
    trie.add(propose(5, [1, 2], [3, 0]))  # below a dropped node, and beside the log
    trie.follow([1, 2, 3, 5])
    assert trie.stale == 5
    assert waiting(trie) == set()


def test_comparisons_say_which_sibling_was_right() -> None:
    trie = EpochTrie(1, 3)
    trie.add(propose(1, [5, 6, 7, 8], [0, 0, 2, 3]))
    assert trie.follow([1, 2, 3, 6, 7, 1]) == [
        Comparison(2, 1),
        Comparison(1, 0),
        Comparison(1, None),
    ]
    assert trie.follow([1, 2, 3, 6, 7, 1, 1]) == []


@pytest.mark.parametrize(
    ("word", "code"),
    [
        (propose(2, [5]), PeerCode.OUT_OF_ORDER),
        (propose(4, [5]), PeerCode.OUT_OF_ORDER),
        (propose(3, [5], [3]), PeerCode.OUT_OF_ORDER),
        (propose(3, [5, 6], [4, 3]), PeerCode.OUT_OF_ORDER),
        (propose(3, [5], [-1]), PeerCode.OUT_OF_ORDER),
        (propose(3, [5] * (MAX_EPOCH_NODES - 1)), PeerCode.TOO_LARGE),
    ],
)
def test_a_word_that_breaks_the_numbering_adds_nothing(word: Propose, code: PeerCode) -> None:
    trie = EpochTrie(1, 3)
    trie.add(propose(1, [5, 6]))
    with pytest.raises(PeerError) as caught:
        trie.add(word)
    assert caught.value.code is code
    assert trie.size == 2


def test_an_epoch_may_grow_to_its_limit() -> None:
    trie = EpochTrie(1, 3)
    trie.add(propose(1, [5] * MAX_EPOCH_NODES))
    assert trie.size == MAX_EPOCH_NODES


growths = st.lists(
    st.one_of(
        st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2)), min_size=1, max_size=6),
        st.integers(0, 2),
    ),
    max_size=25,
)


@given(growths)
def test_it_agrees_with_a_reading_that_keeps_every_node(
    growth: list[list[tuple[int, int]] | int],
) -> None:
    trie, log = EpochTrie(1, 1), [9]
    paths: list[tuple[int, ...]] = [()]
    for step in growth:
        if isinstance(step, int):
            log.append(step)
        else:
            first = len(paths)
            parents = [p % (first + i) for i, (p, _) in enumerate(step)]
            for parent, (_, token) in zip(parents, step, strict=True):
                paths.append((*paths[parent], token))
            trie.add(propose(first, [token for _, token in step], parents))
        trie.follow(log)
        text = tuple(log[1:])
        on_log = [path for path in paths if text[: len(path)] == path]
        deepest = max(on_log, key=len)
        assert trie.length == 1 + len(deepest)
        assert paths[trie.pointer.number] == deepest
        beyond = {p for p in paths if len(p) > len(text) and p[: len(text)] == text}
        alive = beyond if deepest == text else set()
        assert {paths[number] for number in waiting(trie)} == alive


def test_a_node_counts_its_elder_siblings() -> None:
    trie = EpochTrie(1, 3)
    trie.add(propose(1, [5, 6, 7], [0, 0, 0]))
    ranks = [child.rank for child in trie.pointer.children.values()]
    assert ranks == [0, 1, 2]
