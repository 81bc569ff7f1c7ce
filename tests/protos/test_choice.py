"""A choice is what docs/noise.md says: against a literal reading, and against the softmax."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outrider_protos import choice
from outrider_protos.errors import BadLogits
from outrider_protos.words import Sampling
from tests.protos import literal

# Whole and half numbers make ties likely, the others make them unlikely.
values = st.one_of(
    st.integers(-8, 8).map(lambda half: half / 2),
    st.floats(-30, 30, width=32),
    st.just(-math.inf),
)
samplings = st.builds(
    Sampling,
    temperature=st.one_of(st.just(0.0), st.floats(0.05, 3)),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.floats(0.01, 1.0),
    seed=st.integers(0, (1 << 64) - 1),
)
indices = st.integers(0, 1 << 20)


@st.composite
def rows(draw: st.DrawFn, most: int = 30) -> choice.Row:
    row = np.array(draw(st.lists(values, min_size=1, max_size=most)), dtype=np.float32)
    assume(bool(np.isfinite(row).any()))
    return row


@st.composite
def wide_rows(draw: st.DrawFn) -> choice.Row:
    """More tokens than the first look takes in, flat to peaked."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    row = rng.standard_normal(draw(st.integers(65, 3000))).astype(np.float32)
    row *= np.float32(draw(st.sampled_from([0.1, 1.0, 4.0, 12.0])))
    return row.round(draw(st.sampled_from([0, 1, 7])))


@given(rows() | wide_rows(), samplings, indices, st.integers(1, 6))
@settings(max_examples=300)
def test_choice_and_ranking_equal_the_literal_reading(
    row: choice.Row, sampling: Sampling, index: int, width: int
) -> None:
    assume(choice.gap(row, sampling, index) > 1e-9)
    expected = literal.ranking(row.tolist(), sampling, index)
    if sampling.top_p is not None:  # sums in another order round differently
        less = replace(sampling, top_p=sampling.top_p * (1 - 1e-12))
        assume(literal.ranking(row.tolist(), less, index) == expected)
    before = row.copy()
    found = choice.ranked(row, sampling, index, width)
    assert choice.choose(row, sampling, index) == expected[0] == found[0]
    assert found == expected[:width]
    assert np.array_equal(row, before)


@given(rows() | wide_rows(), samplings, indices, st.integers(0, 1 << 30))
@settings(max_examples=300)
def test_changes_below_the_gap_change_no_choice(
    row: choice.Row, sampling: Sampling, index: int, noise_seed: int
) -> None:
    gap = choice.gap(row, sampling, index)
    unit = sampling.temperature or 1.0
    assume(gap * unit > 1e-4)
    shifts = np.random.default_rng(noise_seed).choice([-1.0, 1.0], row.size)
    moved = (row + 0.45 * min(gap, 100.0) * unit * shifts).astype(np.float32)
    assert choice.choose(moved, sampling, index) == choice.choose(row, sampling, index)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, seed=1),
        Sampling(temperature=0.6, seed=2),
        Sampling(temperature=1.3, top_k=3, seed=3),
        Sampling(temperature=1.0, top_p=0.7, seed=4),
        Sampling(temperature=2.0, top_k=4, top_p=0.8, seed=5),
    ],
)
def test_over_many_positions_choices_follow_the_filtered_softmax(sampling: Sampling) -> None:
    row = np.array([2.0, 1.5, 0.0, -1.0, 1.0, -math.inf], dtype=np.float32)
    left = literal.ranking(row.tolist(), sampling, 0)
    weights = np.zeros(6)
    weights[left] = np.exp(row[left].astype(np.float64) / sampling.temperature)
    count = 6000
    found = np.bincount([choice.choose(row, sampling, n) for n in range(count)], minlength=6)
    expected = count * weights / weights.sum()
    assert not found[expected == 0].any()
    statistic = ((found - expected)[expected > 0] ** 2 / expected[expected > 0]).sum()
    assert statistic < 25  # a chi-square of 4 degrees of freedom exceeds it in 5 of 100,000 cases


def test_equal_logits_go_to_the_lower_id() -> None:
    row = np.array([0, 3, 1, 3, 3, 1], dtype=np.float32)
    assert choice.choose(row, Sampling(), 0) == 1
    assert choice.ranked(row, Sampling(), 0, 5) == [1, 3, 4, 2, 5]
    filtered = Sampling(temperature=1.0, top_k=2)
    assert {choice.choose(row, filtered, n) for n in range(100)} == {1, 3}


def test_the_token_that_crosses_top_p_stays_and_no_other() -> None:
    row = np.log(np.array([0.5, 0.3, 0.15, 0.05])).astype(np.float32)
    for top_p, left in [
        (0.1, {0}),
        (0.45, {0}),
        (0.6, {0, 1}),
        (0.9, {0, 1, 2}),
        (1.0, {0, 1, 2, 3}),
    ]:
        sampling = Sampling(temperature=1.0, top_p=top_p)
        assert {choice.choose(row, sampling, n) for n in range(400)} == left


def test_top_p_counts_the_mass_that_top_k_left() -> None:
    row = np.log(np.array([0.4, 0.3, 0.2, 0.1])).astype(np.float32)
    sampling = Sampling(temperature=1.0, top_k=2, top_p=0.56)  # 0.4 of 0.7 is 0.571
    assert {choice.choose(row, sampling, n) for n in range(200)} == {0}


def test_a_ranking_holds_only_what_is_possible() -> None:
    row = np.array([-math.inf, 1, -math.inf, 2], dtype=np.float32)
    for sampling in (Sampling(), Sampling(temperature=0.5), Sampling(temperature=9.0, top_p=1.0)):
        assert set(choice.ranked(row, sampling, 3, 4)) == {1, 3}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0)])
def test_a_broken_row_is_an_error(value: float, sampling: Sampling) -> None:
    row = np.array([1.0, value, -math.inf], dtype=np.float32)
    for broken in (row, np.full(3, -math.inf, dtype=np.float32)):
        with pytest.raises(BadLogits):
            choice.choose(broken, sampling, 0)
        with pytest.raises(BadLogits):
            choice.ranked(broken, sampling, 0, 2)
        with pytest.raises(BadLogits):
            choice.confidence(broken)


def test_the_gap_is_the_lead_where_nothing_is_filtered() -> None:
    row = np.array([1.0, 3.5, 3.0], dtype=np.float32)
    assert choice.gap(row, Sampling(), 0) == 0.5
    sampled = Sampling(temperature=0.5, seed=8)
    scores = sorted(
        (float(row[token]) - 3.5) / 0.5 + literal.noise_gumbel(8, 4, token) for token in range(3)
    )
    assert choice.gap(row, sampled, 4) == pytest.approx(scores[2] - scores[1])


def test_the_gap_sees_a_border_that_is_close() -> None:
    row = np.array([5.0, 1.0, 0.999], dtype=np.float32)
    sampling = Sampling(temperature=1e3, top_k=2)
    index = next(
        n for n in range(99) if literal.ranking(row.tolist(), Sampling(temperature=1e3), n)[0] == 2
    )
    assert choice.gap(row, sampling, index) == pytest.approx(0.001 / 1e3, rel=1e-3)


@pytest.mark.parametrize(("top_p", "winner"), [(0.79, 2), (0.51, 1)])
def test_the_gap_sees_a_mass_that_is_close_to_top_p(top_p: float, winner: int) -> None:
    """The mass before the tokens is 0, 0.5, 0.8, 0.95: the next one nearly comes in, or goes."""
    row = np.log(np.array([0.5, 0.3, 0.15, 0.05])).astype(np.float32)
    free = Sampling(temperature=1.0, seed=2)
    index = next(n for n in range(99) if literal.ranking(row.tolist(), free, n)[0] == winner)
    filtered = replace(free, top_p=top_p)
    assert choice.gap(row, filtered, index) == pytest.approx(0.01, abs=1e-6)


def test_one_possible_token_has_an_infinite_gap() -> None:
    row = np.array([-math.inf, 1.0], dtype=np.float32)
    assert choice.gap(row, Sampling(), 0) == math.inf
    assert choice.gap(row, Sampling(temperature=1.0), 0) == math.inf


@given(rows())
def test_facts_of_a_row_equal_their_definitions(row: choice.Row) -> None:
    weights = [math.exp(float(value) - float(row.max())) for value in row]
    shares = [weight / math.fsum(weights) for weight in weights]
    assert choice.confidence(row) == pytest.approx(max(shares))
    surprises = [-share * math.log(share) for share in shares if share > 0]
    assert choice.entropy(row) == pytest.approx(math.fsum(surprises), abs=1e-9)
    for token, share in enumerate(shares):
        assert math.exp(choice.log_probability(row, token)) == pytest.approx(share, abs=1e-12)


@given(rows(), st.integers(1, 8))
def test_a_top_row_lists_the_likeliest_with_their_probabilities(
    row: choice.Row, count: int
) -> None:
    top = choice.top_row(row, count)
    assert list(top.tokens) == literal.ranking(row.tolist(), Sampling(), 0)[:count]
    expected = [math.exp(choice.log_probability(row, token)) for token in top.tokens]
    assert list(top.probabilities) == pytest.approx(expected)
