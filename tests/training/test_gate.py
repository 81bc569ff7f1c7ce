"""The gate's arithmetic, on made-up replays."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_training.gate import Pair, StepTimes, Terms, compare, judge, rounds

EVEN = StepTimes(0.001, 0.001)
TERMS = Terms(fewest=2)


def flags(text: str) -> tuple[bool, ...]:
    return tuple(letter == "x" for letter in text)


def pairs(new: str, old: str, domain: str = "sql", count: int = 10) -> list[Pair]:
    return [Pair(domain, flags(new), flags(old))] * count


@pytest.mark.parametrize(
    ("agreed", "span", "count"),
    [
        ("xxxx", 4, 1),
        ("xxxxx", 4, 1),  # the fifth is the target's own
        ("xxxxxx", 4, 2),
        ("....", 4, 4),
        ("x.x.", 4, 2),
        ("x.x.", 1, 2),
        ("xxx", 1, 2),
        (".x", 2, 2),
    ],
)
def test_a_round_is_what_is_accepted_and_one_more(agreed: str, span: int, count: int) -> None:
    assert rounds(flags(agreed), span) == count


def test_figures_of_a_known_case() -> None:
    found = compare(pairs("xxx.", "x..."), StepTimes(0.002, 0.001), Terms(span=3, verify_ms=10))
    assert (found.answers, found.positions) == (10, 40)
    assert (found.new.acceptance, found.old.acceptance) == (0.75, 0.25)
    assert (found.new.tokens_per_round, found.old.tokens_per_round) == (4, 4 / 3)
    assert found.new.tokens_per_s == pytest.approx(4 / 0.016)
    assert found.old.tokens_per_s == pytest.approx(4 / (3 * 0.013))
    assert found.difference == found.low == found.high == 0.5  # every answer is alike


def test_a_better_draft_passes() -> None:
    verdict = judge(pairs("xxx.", "x..."), EVEN, TERMS)
    assert verdict.passed
    assert verdict.objections == ()


def test_a_draft_that_is_no_better_does_not() -> None:
    assert not judge(pairs("xx..", "xx.."), EVEN, TERMS).passed
    doubtful = [*pairs("xxx.", "xx..", count=3), *pairs("xx..", "xxx.", count=2)]
    (objection,) = judge(doubtful, EVEN, Terms(fewest=2, margin=1)).objections
    assert "no better" in objection


def test_no_domain_may_fall_by_more_than_the_margin() -> None:
    mixed = [*pairs("xxxx", "....", count=50), *pairs("xx..", "xxx.", "python", 5)]
    (objection,) = judge(mixed, EVEN, TERMS).objections
    assert objection == "python loses 0.250 of acceptance, 0.02 is allowed"
    assert judge(mixed, EVEN, Terms(margin=0.25, fewest=2)).passed


def test_few_answers_prove_nothing() -> None:
    (objection,) = judge(pairs("xxxx", "....", count=3), EVEN, Terms(fewest=4)).objections
    assert "3 answers are too few" in objection


answers = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*(st.lists(st.booleans(), min_size=n, max_size=n) for _ in range(2)))
)


@given(st.lists(answers, min_size=2, max_size=12), st.integers(1, 9))
def test_the_interval_holds_the_difference_and_rounds_add_up(
    found: Sequence[tuple[list[bool], list[bool]]], span: int
) -> None:
    made = [Pair("", tuple(new), tuple(old)) for new, old in found]
    result = compare(made, EVEN, Terms(span=span))
    assert result.low - 1e-9 <= result.difference <= result.high + 1e-9 or len(made) < 6
    assert 1 <= result.new.tokens_per_round <= span + 1
    swapped = compare([Pair("", p.old, p.new) for p in made], EVEN, Terms(span=span))
    assert swapped.difference == pytest.approx(-result.difference)
    assert swapped.low == pytest.approx(-result.high)


def test_the_interval_is_as_wide_as_chance() -> None:
    """Of 100 answers whose gain is 0 or 1, each as often: half a unit, give or take 0.1."""
    made = [*pairs("x", ".", count=50), *pairs(".", ".", count=50)]
    found = compare(made, EVEN, TERMS)
    expected = 1.96 * np.sqrt(0.25 / 100)
    assert found.difference == 0.5
    assert found.high - found.difference == pytest.approx(expected, abs=0.015)
    assert found.difference - found.low == pytest.approx(expected, abs=0.015)
