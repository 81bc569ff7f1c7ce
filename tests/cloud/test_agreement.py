"""Which nodes stand, against slow and literal readings of the rule."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud.agreement import judge
from outrider_cloud.engine import Verdict, Work
from outrider_protos.words import Rollback

distances = st.sampled_from([0.0, 1e-9, 0.5, 1.0, 1.5, 2.0, math.inf])
thresholds = st.sampled_from([None, 0.0, 0.5, 1.0, 1.4])


def work(tokens: list[int], parents: list[int], threshold: float | None) -> Work:
    rollback = None if threshold is None else Rollback(threshold=threshold)
    return Work(
        session=1,
        past=3,
        prefix=(4,),
        nodes=tuple(tokens),
        parents=tuple(parents),
        rollback=rollback,
        logprobs=True,
    )


def verdict(choices: list[int], far: list[float]) -> Verdict:
    return Verdict(
        choices=tuple(choices),
        distances=tuple(far),
        choice_logprobs=tuple(-100.0 - row for row in range(len(choices))),
        node_logprobs=tuple(-float(node) for node in range(1, len(far) + 1)),
    )


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[int], list[int], list[float], float | None]:
    count = draw(st.integers(0, 8))
    tokens = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    choices = draw(st.lists(st.integers(0, 2), min_size=count + 1, max_size=count + 1))
    far = draw(st.lists(distances, min_size=count, max_size=count))
    return tokens, choices, far, draw(thresholds)


@given(chains())
def test_a_chain_is_judged_as_the_paper_says(
    case: tuple[list[int], list[int], list[float], float | None],
) -> None:
    tokens, choices, far, threshold = case
    written = []
    for n, token in enumerate(tokens):
        within = threshold is not None and threshold > 0 and far[n] <= threshold
        if token != choices[n] and not within:
            break
        written.append(token)
    written.append(choices[len(written)])
    chain = list(range(len(tokens)))
    judgement = judge(work(tokens, chain, threshold), verdict(choices, far))
    assert judgement.tokens == tuple(written)
    assert judgement.path == tuple(range(1, len(written)))


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], list[float], float | None]:
    """Children of one parent have different tokens."""
    tokens: list[int] = []
    parents: list[int] = []
    for _ in range(draw(st.integers(0, 14))):
        parent, token = draw(st.integers(0, len(tokens))), draw(st.integers(0, 3))
        if (parent, token) not in zip(parents, tokens, strict=True):
            parents.append(parent)
            tokens.append(token)
    count = len(tokens)
    choices = draw(st.lists(st.integers(0, 4), min_size=count + 1, max_size=count + 1))
    far = draw(st.lists(distances, min_size=count, max_size=count))
    return tokens, parents, choices, far, draw(thresholds)


@given(trees())
def test_a_tree_is_judged_like_the_best_of_all_its_paths(
    case: tuple[list[int], list[int], list[int], list[float], float | None],
) -> None:
    tokens, parents, choices, far, threshold = case

    def prefers(parent: int, node: int) -> bool:
        siblings = [n for n in range(1, len(tokens) + 1) if parents[n - 1] == parent]
        if any(tokens[n - 1] == choices[parent] for n in siblings):
            return tokens[node - 1] == choices[parent]
        if not threshold or far[node - 1] > threshold:
            return False
        nearest = min(far[n - 1] for n in siblings)
        return node == next(n for n in siblings if far[n - 1] == nearest)

    def path(node: int) -> list[int]:
        return [*path(parents[node - 1]), node] if node else []

    standing = [
        nodes
        for nodes in map(path, range(len(tokens) + 1))
        if all(prefers(parent, node) for parent, node in pairwise([0, *nodes]))
    ]
    longest = max(standing, key=len)
    judgement = judge(work(tokens, parents, threshold), verdict(choices, far))
    assert judgement.path == tuple(longest)
    last = longest[-1] if longest else 0
    assert judgement.tokens == (*(tokens[node - 1] for node in longest), choices[last])
    expected = (*(-float(node) for node in longest), -100.0 - last)
    assert judgement.logprobs == expected


@pytest.mark.parametrize("distance", [0.0, 1e-12])
def test_threshold_zero_is_exact_even_at_distance_zero(distance: float) -> None:
    judgement = judge(work([1], [0], 0.0), verdict([2, 3], [distance]))
    assert judgement.tokens == (2,)


def test_the_choice_stands_however_far_it_is() -> None:
    judgement = judge(work([2, 1], [0, 0], 1.0), verdict([2, 3, 4], [math.inf, 0.1]))
    assert judgement.path == (1,)


def test_of_several_children_within_the_threshold_the_nearest_stands() -> None:
    judgement = judge(work([1, 2, 3], [0, 0, 0], 1.0), verdict([5, 6, 7, 8], [0.9, 0.2, 0.2]))
    assert judgement.path == (2,)
    assert judgement.tokens == (2, 7)


def test_a_distance_that_is_no_number_stands_for_nothing() -> None:
    judgement = judge(work([1], [0], 1.0), verdict([2, 3], [math.nan]))
    assert judgement.tokens == (2,)
