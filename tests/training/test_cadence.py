"""When to update, and what to judge by: by count, by drift, always by newer answers."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud.records.record import Record
from outrider_protos.words import Distance, Rollback
from outrider_training.cadence import Cadence, Due, Rhythm
from outrider_training.held_back import HeldBack
from tests.cloud.records.samples import record


def updates(cadence: Cadence, acceptances: Sequence[float | None]) -> list[int]:
    """After which answers an update was due."""
    found = []
    for number, acceptance in enumerate(acceptances, start=1):
        cadence.answered(acceptance)
        if cadence.due() is not None:
            found.append(number)
            cadence.updated(0.0)
    return found


def test_every_so_many_answers_whatever_they_were() -> None:
    assert updates(Cadence(Rhythm(every=4)), [0.9, None, 0.1, 0.5] * 3) == [4, 8, 12]


def test_a_fall_of_acceptance() -> None:
    rhythm = Rhythm(every=None, fall=0.2, window=10, fewest=5)
    assert updates(Cadence(rhythm), [0.9] * 30) == []
    (first, *rest) = updates(Cadence(rhythm), [0.9] * 20 + [0.3] * 30)
    assert 20 < first <= 25  # a third of the window is enough
    assert rest  # and again, as long as it stays down
    assert all(b - a >= 5 for a, b in zip([first, *rest], rest, strict=False))


def test_the_reason_is_said() -> None:
    cadence = Cadence(Rhythm(every=None, fall=0.1, window=4, fewest=2))
    for acceptance in (0.8, 0.8, 0.8, 0.4, 0.4):
        cadence.answered(acceptance)
    assert cadence.due() == Due("acceptance fell from 0.80 to 0.60")
    assert Cadence(Rhythm(every=1)).due() is None


def test_idleness_counts_once_there_is_something_new() -> None:
    cadence = Cadence(Rhythm(every=None, idle=0.25, fewest=3))
    assert Cadence(Rhythm()).spare(0.0) is None
    for _ in range(3):
        assert not cadence.waits_for_idleness
        assert cadence.spare(0.0) is None
        cadence.answered(None)
    assert cadence.waits_for_idleness
    assert cadence.spare(None) is None  # nobody knows
    assert cadence.spare(0.26) is None
    assert cadence.spare(0.25) == Due("the cloud is busy 25% of the time", idle=True)
    cadence.updated(0.0)
    assert cadence.spare(0.0) is None


def at(number: int, domain: str, prompt: int) -> Record:
    return replace(record(), time_s=float(number), domain=domain, prompt=(1, prompt))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), max_size=60))
def test_what_is_judged_by_is_newer_and_never_learnt(found: list[tuple[str, int]]) -> None:
    held, learnt = HeldBack(4), list[Record]()
    for number, (domain, prompt) in enumerate(found):
        released = held.take(at(number, domain, prompt))
        learnt += [] if released is None else [released]
        prompts = {each.prompt for each in learnt}
        assert prompts.isdisjoint(each.prompt for each in held.answers())
        for name in "ab":
            mine = [each.time_s for each in held.answers() if each.domain == name]
            assert len(mine) <= 4
    counted = len(learnt) + sum(len(queue) for queue in held._newest.values())
    assert counted == len(found)  # each is learnt from or kept back, once


def test_text_that_depends_on_a_draft_is_only_learnt_from() -> None:
    held = HeldBack(4)
    rollback = Rollback(threshold=2.0, distance=Distance.SURPRISE)
    guided = replace(at(0, "a", 1), rollback=rollback)
    assert held.take(guided) is guided
    assert held.answers() == []


def test_a_schedule_counts_from_the_last_update_and_wants_answers() -> None:
    cadence = Cadence(Rhythm(every=None, schedule_s=60.0))
    assert cadence.scheduled(1000.0) is None  # from here on
    assert cadence.scheduled(2000.0) is None  # nothing to learn from
    cadence.answered(0.5)
    assert cadence.scheduled(1059.0) is None
    assert cadence.scheduled(1060.0) == Due("60 s")
    cadence.updated(1060.0)
    assert cadence.scheduled(1200.0) is None
    cadence.answered(None)
    assert cadence.scheduled(1119.0) is None
    assert cadence.scheduled(1120.0) is not None
