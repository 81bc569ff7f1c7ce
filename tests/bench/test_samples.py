"""Ratios of medians and their intervals."""

import pytest

from bench.samples import Samples, ratio_of_medians, share_of, speedup


def test_a_speedup_compares_the_median_time_of_every_answer() -> None:
    slow = Samples({0: [1.0, 3.0, 2.0], 1: [4.0, 4.0, 100.0]})
    fast = Samples({0: [1.0], 1: [2.0]})
    ratio = speedup(slow, fast)
    assert ratio.value == pytest.approx((2 + 4) / (1 + 2))
    assert ratio.low <= ratio.value <= ratio.high


def test_an_interval_is_as_wide_as_the_repetitions_differ() -> None:
    steady = Samples({0: [2.0] * 9})
    shaky = Samples({0: [1.0, 1.5, 2.0, 2.5, 3.0, 2.0, 2.0, 1.0, 3.0]})
    same = share_of(1.0, steady)
    assert (same.low, same.value, same.high) == (0.5, 0.5, 0.5)
    loose = share_of(1.0, shaky)
    assert loose.low < loose.value < loose.high


def test_different_answers_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same answers"):
        speedup(Samples({0: [1.0]}), Samples({1: [1.0]}))


def test_steps_that_are_alike_are_compared_by_their_medians() -> None:
    assert ratio_of_medians([3.0, 3.0, 9.0], [2.0, 1.0, 2.0]).value == 1.5
