"""Bets are won where they should be, soon, whatever the order, and else as seldom as promised."""

from math import isfinite
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_protos.betting import Bet, Growth, apart, together

SHARE = Bet(bar=0.1, least=0.0, parts=(0.05, 0.1, 0.2, 0.4))
DIFFERENCE = Bet(bar=-0.03, least=-1.0, parts=(0.25, 0.8))
ERROR = 0.05

values = st.lists(st.floats(-1, 1), max_size=40)


def grown(bet: Bet, found: list[float]) -> Growth:
    growth = bet.begun
    for value in found:
        growth = bet.after(growth, value)
    return growth


def first_shown(bet: Bet, draw: Random, share: float, most: int) -> int | None:
    """After how many of values that are 1 with a chance of `share` the bet is won."""
    growth = bet.begun
    for count in range(1, most + 1):
        growth = bet.after(growth, float(draw.random() < share))
        if bet.shown(growth, ERROR):
            return count
    return None


def test_nothing_is_shown_by_nothing() -> None:
    assert not SHARE.shown(SHARE.begun, ERROR)


@pytest.mark.parametrize(("share", "soon"), [(1.0, 5), (0.5, 30), (0.25, 150)])
def test_what_is_clear_is_shown_soon(share: float, soon: int) -> None:
    found = [first_shown(SHARE, Random(seed), share, soon) for seed in range(100)]
    assert found.count(None) <= 10


def test_at_the_bar_it_is_won_by_chance_as_seldom_as_promised() -> None:
    """Looked at after every value, for as long as one has patience."""
    found = [first_shown(SHARE, Random(seed), SHARE.bar, 500) for seed in range(1000)]
    assert found.count(None) >= 1000 * (1 - ERROR)


def test_a_stricter_error_needs_more() -> None:
    growth = grown(SHARE, [1.0] * 4)
    assert SHARE.shown(growth, ERROR)
    assert not SHARE.shown(growth, ERROR / 100)


def test_thousands_of_values_overflow_nothing() -> None:
    assert SHARE.shown(grown(SHARE, [1.0] * 5000), ERROR)
    assert not SHARE.shown(grown(SHARE, [0.0] * 5000), ERROR)


@given(values)
def test_no_bet_ever_loses_all(found: list[float]) -> None:
    assert all(isfinite(each) for each in grown(DIFFERENCE, found))


@given(values, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(found: list[float], random: Random) -> None:
    mixed = random.sample(found, len(found))
    assert grown(DIFFERENCE, mixed) == pytest.approx(grown(DIFFERENCE, found), abs=1e-9)


@given(values, values)
def test_growths_are_put_together_and_taken_apart(one: list[float], other: list[float]) -> None:
    whole = together(grown(DIFFERENCE, one), grown(DIFFERENCE, other))
    assert whole == pytest.approx(grown(DIFFERENCE, one + other), abs=1e-9)
    rest = apart(whole, grown(DIFFERENCE, other))
    assert rest == pytest.approx(grown(DIFFERENCE, one), abs=1e-9)


@given(values, st.floats(-1, 1), st.floats(-1, 1))
def test_a_value_may_be_replaced_later(found: list[float], old: float, new: float) -> None:
    growth = DIFFERENCE.instead(grown(DIFFERENCE, [old, *found]), old, new)
    assert growth == pytest.approx(grown(DIFFERENCE, [new, *found]), abs=1e-9)


def test_a_value_below_the_least_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="least"):
        SHARE.after(SHARE.begun, -0.1)
