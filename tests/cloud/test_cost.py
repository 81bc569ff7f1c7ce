"""What the cloud learns about the price of judging and the worth of a draft."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud.cost import Acceptance, VerifyCost
from outrider_cloud.trie import Comparison


@given(st.floats(1e-3, 1.0), st.floats(0.0, 0.5), st.lists(st.integers(1, 80), max_size=40))
def test_a_straight_line_is_found(fixed_s: float, share: float, sizes: list[int]) -> None:
    cost, slope_s = VerifyCost(), share * fixed_s
    for rows in [1, 70, 30] * 60 + sizes:
        cost.observe(rows, fixed_s + slope_s * rows)
    line = cost.line(1)
    assert line.at(20) == pytest.approx(fixed_s + slope_s * 20, rel=0.05)
    assert line.slope_s == pytest.approx(slope_s, rel=0.05, abs=2e-4 * fixed_s)


def test_newer_forwards_count_more() -> None:
    cost = VerifyCost()
    for slope_s in [0.001] * 200 + [0.004] * 200:
        for rows in (1, 9):
            cost.observe(rows, 0.02 + slope_s * rows)
    assert cost.line(1).slope_s == pytest.approx(0.004, rel=0.05)


def test_while_sizes_do_not_differ_the_slope_is_said_to_be_what_makes_them_differ() -> None:
    small, large = VerifyCost(), VerifyCost()
    for _ in range(50):
        small.observe(1, 0.02)
        large.observe(9, 0.08)
    assert 0 < small.line(1).slope_s < 0.001  # so judge something
    assert large.line(1).fixed_s == pytest.approx(0.0)  # so judge nothing
    assert large.line(1).slope_s == pytest.approx(0.08 / 9)


def test_a_slope_that_was_seen_is_believed_for_long_but_not_for_ever() -> None:
    cost = VerifyCost()
    for rows in [1, 9] * 50:
        cost.observe(rows, 0.02 + 0.01 * rows)
    patience = 0
    while cost.line(1).slope_s > 0.009:
        cost.observe(1, 0.03)
        patience += 1
    assert 100 < patience < 1000


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0.0, 10.0)), max_size=30))
def test_no_forward_takes_less_than_nothing(forwards: list[tuple[int, float]]) -> None:
    cost = VerifyCost()
    for rows, elapsed_s in forwards:
        cost.observe(rows, elapsed_s)
    line = cost.line(1)
    assert line.slope_s >= 0
    assert line.fixed_s >= -1e-9


def test_acceptance_settles_at_the_share_of_hits_by_rank() -> None:
    acceptance = Acceptance()
    for turn in range(3000):
        acceptance.observe(Comparison(2, [0, 0, 1, None][turn % 4]))
    assert acceptance.of(0) == pytest.approx(0.5, abs=0.08)
    assert acceptance.of(1) == pytest.approx(0.25, abs=0.08)


def test_a_rank_that_was_never_tried_keeps_its_prior() -> None:
    acceptance, fresh = Acceptance(), Acceptance()
    for _ in range(100):
        acceptance.observe(Comparison(1, None))
    assert acceptance.of(0) < 0.01
    assert acceptance.of(1) == fresh.of(1)
    assert acceptance.of(500) == fresh.of(500)


def test_a_few_misses_are_enough_to_doubt_a_draft_and_a_few_hits_to_trust_it() -> None:
    acceptance = Acceptance()
    for _ in range(20):
        acceptance.observe(Comparison(1, None))
    assert acceptance.of(0) < 0.15
    for _ in range(20):
        acceptance.observe(Comparison(1, 0))
    assert acceptance.of(0) > 0.6
