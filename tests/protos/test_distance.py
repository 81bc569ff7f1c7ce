"""The Big-Little distances equal a slow reading of their definitions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_protos import distance


@st.composite
def listed_pairs(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    """Two distributions over the same tokens, of which all but the last few are listed."""
    size = draw(st.integers(2, 12))
    count = draw(st.integers(1, size - 1))
    both = []
    for _ in range(2):
        weights = draw(st.lists(st.floats(0.001, 1), min_size=size, max_size=size))
        both.append([weight / math.fsum(weights) for weight in weights][:count])
    return both[0], both[1]


def _with_tail(listed: list[float]) -> list[float]:
    return [*listed, 1 - math.fsum(listed)]


@given(listed_pairs())
def test_distances_equal_their_definitions(pair: tuple[list[float], list[float]]) -> None:
    draft, target = pair
    q, p = _with_tail(draft), _with_tail(target)
    divergence = math.fsum(a * math.log(a / b) for a, b in zip(q, p, strict=True))
    variation = math.fsum(abs(a - b) for a, b in zip(q, p, strict=True)) / 2
    assert distance.kullback_leibler(draft, target) == pytest.approx(divergence, abs=1e-9)
    assert distance.total_variation(draft, target) == pytest.approx(variation, abs=1e-9)


@given(listed_pairs())
def test_equal_distributions_have_no_distance(pair: tuple[list[float], list[float]]) -> None:
    assert distance.kullback_leibler(pair[0], pair[0]) == 0
    assert distance.total_variation(pair[0], pair[0]) == 0


def test_the_extremes() -> None:
    assert distance.surprise(math.log(0.25)) == pytest.approx(math.log(4))
    assert distance.surprise(0.0) == 0
    assert distance.surprise(-math.inf) == math.inf
    assert distance.kullback_leibler([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert distance.kullback_leibler([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert distance.total_variation([1.0, 0.0], [0.0, 1.0]) == 1


def test_rounding_above_one_leaves_an_empty_tail() -> None:
    rounded = [0.6, 0.4 + 1e-7]
    assert distance.kullback_leibler(rounded, rounded) == 0
    assert distance.total_variation(rounded, [0.6, 0.4]) == pytest.approx(5e-8)
