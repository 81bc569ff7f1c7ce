"""When a device looks for releases: values of time and chance in, pauses out."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.errors import Busy, ChannelUnavailable
from outrider_edge.releases.follower import Follower, Rhythm
from outrider_edge.releases.step import State, Step

UP_TO_DATE = Step(State.UP_TO_DATE, None, "up to date")
ON_TRIAL = Step(State.ON_TRIAL, 2, "on trial")
AGAIN = Step(State.REVERTED, 2, "taken back", again=True)
CALM = Rhythm(every_s=3600.0, on_trial_s=30.0, trouble_s=60.0)


class Waits:
    """Sleeps no second; says stop after so many pauses."""

    def __init__(self, most: int) -> None:
        self.pauses_s: list[float] = []
        self._most = most

    def __call__(self, seconds: float, /) -> bool:
        self.pauses_s.append(seconds)
        return len(self.pauses_s) > self._most


def followed(*steps: Step | Exception, rhythm: Rhythm = CALM) -> tuple[list[float], list[str]]:
    """The pauses before these steps and after the last, without jitter; and what was told."""
    left, told, waits = list(steps), list[str](), Waits(len(steps))

    def step() -> Step:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    Follower(step, rhythm, lambda: 0.5, told.append).run(waits)
    return waits.pauses_s, told


@given(
    chance=st.floats(0, 1),
    every_s=st.floats(0, 1e9),
    step=st.sampled_from([UP_TO_DATE, ON_TRIAL, None]),
    errors=st.integers(1, 10**6),
)
def test_a_pause_is_spread_by_a_fifth_and_always_bounded(
    chance: float, every_s: float, step: Step | None, errors: int
) -> None:
    rhythm = Rhythm(every_s=every_s)
    middle_s = rhythm.pause_s(step, errors, 0.5)
    pause_s = rhythm.pause_s(step, errors, chance)
    assert 0.8 * middle_s - 1e-6 <= pause_s <= 1.2 * middle_s + 1e-6 or middle_s in (1.0, 86_400)
    assert 1.0 <= pause_s <= 86_400
    assert rhythm.pause_s(step, errors, 0) <= pause_s <= rhythm.pause_s(step, errors, 1)


def test_looks_come_as_often_as_asked_for_and_trials_are_watched_closely() -> None:
    pauses_s, _ = followed(UP_TO_DATE, ON_TRIAL, UP_TO_DATE)
    assert pauses_s == [30.0, 3600.0, 30.0, 3600.0]


def test_what_can_be_done_at_once_is_done_at_once() -> None:
    assert followed(AGAIN, AGAIN, UP_TO_DATE)[0][1:] == [0.0, 0.0, 3600.0]


def test_steps_that_never_come_to_an_end_are_not_taken_in_a_rush() -> None:
    pauses_s, _ = followed(*[AGAIN] * 70)
    assert Counter(pauses_s[1:]) == {0.0: 68, 3600.0: 2}


def test_trouble_brings_the_next_look_forward_and_then_ever_later() -> None:
    errors = [ChannelUnavailable("gone")] * 9
    pauses_s, told = followed(*errors, UP_TO_DATE, ChannelUnavailable("gone"))
    assert pauses_s[1:8] == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0]
    assert pauses_s[8:] == [3600.0, 3600.0, 3600.0, 60.0]
    assert told == ["gone", "up to date", "gone"], "the same thing is told once"


def test_another_process_at_work_is_no_trouble() -> None:
    pauses_s, told = followed(Busy("another process"), UP_TO_DATE)
    assert pauses_s[1:] == [30.0, 3600.0]
    assert told == ["up to date"]


def test_it_stops_when_told_before_the_first_look() -> None:
    waits = Waits(0)
    Follower(lambda: pytest.fail("a look"), CALM, lambda: 0.5, print).run(waits)
    assert len(waits.pauses_s) == 1


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        followed(ZeroDivisionError())


def test_a_thousand_devices_that_start_together_do_not_come_together() -> None:
    chance = random.Random(4).random

    def looks_s() -> list[float]:
        """When one device looks first, and second."""
        waits = Waits(2)
        Follower(lambda: UP_TO_DATE, CALM, chance, lambda text: None).run(waits)
        return [waits.pauses_s[0], sum(waits.pauses_s[:2])]

    devices = [looks_s() for _ in range(1000)]
    first = Counter(int(first_s) for first_s, _ in devices)
    second = Counter(int(second_s) for _, second_s in devices)
    assert max(first) < 60
    assert max(first.values()) < 40  # in any second; 17 on average
    assert max(second.values()) < 10
