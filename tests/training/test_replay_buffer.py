"""The replay buffer: bounded, balanced over domains, and let go of by the chosen rule."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_training.examples import Example
from outrider_training.replay_buffer import BufferRules, Eviction, ReplayBuffer
from tests.training.test_examples import example


def numbered(number: int, domain: str = "sql") -> Example:
    return replace(example((1,), (2,)), domain=domain, time_s=float(number))


def numbers(buffer: ReplayBuffer) -> set[int]:
    return {int(each.time_s) for each in buffer.draw(len(buffer))}


def filled(rules: BufferRules, count: int, seed: int = 0) -> ReplayBuffer:
    """Item n has the information n mod 10."""
    buffer = ReplayBuffer(rules, Random(seed))
    for number in range(count):
        buffer.add(numbered(number), number % 10 / 10)
    return buffer


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1)), max_size=60),
    st.integers(1, 12),
    st.sampled_from(Eviction),
)
def test_it_is_bounded_and_the_fullest_domain_pays(
    found: list[tuple[str, float]], size: int, eviction: Eviction
) -> None:
    buffer = ReplayBuffer(BufferRules(size=size, eviction=eviction), Random(0))
    came: Counter[str] = Counter()
    for domain, information in found:
        buffer.add(numbered(0, domain), information)
        came[domain] += 1
        assert len(buffer) == min(size, came.total())
    fair = size // max(1, len(came))
    for domain, count in came.items():
        assert buffer.domains.get(domain, 0) >= min(count, fair)


def test_the_oldest_leave() -> None:
    assert numbers(filled(BufferRules(size=4, eviction=Eviction.OLDEST), 10)) == {6, 7, 8, 9}


def test_the_least_informative_leave() -> None:
    rules = BufferRules(size=4, eviction=Eviction.LEAST_INFORMATIVE)
    assert numbers(filled(rules, 20)) == {8, 9, 18, 19}


def test_a_reservoir_keeps_all_with_equal_chance() -> None:
    rules = BufferRules(size=5, eviction=Eviction.RESERVOIR)
    kept = Counter(n for seed in range(800) for n in numbers(filled(rules, 20, seed)))
    assert kept.total() == 4000
    assert all(150 < kept[number] < 250 for number in range(20))  # 200 each on average


def test_a_draw_takes_of_every_domain_and_nothing_twice() -> None:
    buffer = ReplayBuffer(BufferRules(), Random(0))
    for number in range(50):
        buffer.add(numbered(number, "many"), 0.5)
    for number in range(50, 53):
        buffer.add(numbered(number, "few"), 0.5)
    drawn = buffer.draw(10)
    assert Counter(each.domain for each in drawn) == {"many": 7, "few": 3}
    assert len({each.time_s for each in drawn}) == 10
    assert len(buffer.draw(99)) == 53


@pytest.mark.parametrize(("passes", "left"), [(None, 6), (1, 0), (2, 6)])
def test_what_was_learnt_from_often_enough_goes(passes: int | None, left: int) -> None:
    buffer = filled(BufferRules(passes=passes), 6)
    for _ in range(3):  # steps of one update
        buffer.draw(6)
    buffer.let_go()
    assert len(buffer) == left
    buffer.draw(6)
    buffer.let_go()
    assert len(buffer) == (6 if passes is None else 0)


def test_what_was_not_drawn_stays() -> None:
    buffer = filled(BufferRules(passes=1), 6)
    drawn = {each.time_s for each in buffer.draw(2)}
    buffer.let_go()
    assert numbers(buffer) == {n for n in range(6) if n not in drawn}


def test_newer_ones_are_drawn_more_often() -> None:
    """Ten apart at a half-life of ten: drawn first half as often."""
    drawn: Counter[int] = Counter()
    for seed in range(3000):
        buffer = filled(BufferRules(half_life=10), 21, seed)
        drawn[int(buffer.draw(1)[0].time_s)] += 1
    weights = [2 ** (-age / 10) for age in range(21)]
    for number in (0, 10, 20):
        expected = 3000 * weights[20 - number] / sum(weights)
        assert abs(drawn[number] - expected) < 5 * expected**0.5
    ancient = filled(BufferRules(half_life=1), 2000)
    assert len(ancient.draw(2000)) == 2000


def test_tenants_are_forgotten() -> None:
    buffer = ReplayBuffer(BufferRules(), Random(0))
    for tenant in ("anna", "ben", "anna"):
        buffer.add(replace(numbered(1), tenant=tenant), 0.5)
    buffer.forget({"anna"})
    assert [each.tenant for each in buffer.draw(3)] == ["ben"]
