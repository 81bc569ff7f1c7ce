"""Who is offered what, step by step."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_protos.release import MAX_RELEASE_NUMBER, Line
from outrider_training.releases.errors import RolloutError
from outrider_training.releases.line_state import MOST_FORMER, LineState

Step = Callable[[LineState], LineState]
steps: st.SearchStrategy[Step] = st.one_of(
    st.sampled_from(
        [LineState.promote, LineState.withdraw, LineState.hold, LineState.resume],
    ),
    st.one_of(st.none(), st.integers(0, 100)).map(lambda p: lambda state: state.publish(p)),
    st.integers(0, 100).map(lambda p: lambda state: state.stage(p)),
    st.integers(1, 12).map(lambda n: lambda state: state.withdraw(n)),
)


def published(count: int) -> LineState:
    """So many, one after another, each promoted."""
    state = LineState()
    for _ in range(count):
        state = state.publish(None).promote()
    return state


def test_the_first_is_for_everybody_the_next_for_a_few() -> None:
    first = LineState().publish(None)
    assert first.line == Line(next=1, percent=100)
    second = first.promote().publish(None)
    assert second.line == Line(stable=1, next=2, percent=10)
    assert second.stage(40).line.percent == 40


def test_a_newer_one_takes_the_place_of_what_was_on_its_way() -> None:
    state = published(1).publish(5).publish(7)
    assert state.line == Line(stable=1, next=3, percent=7)
    assert state.offered == {1, 3}


def test_what_is_on_hold_when_a_newer_one_comes_is_withdrawn() -> None:
    """Nobody will promote it, so devices that have it should not keep it."""
    state = published(1).publish(5).hold().publish(7)
    assert state.line == Line(stable=1, next=3, percent=7, withdrawn=(2,))


def test_any_release_may_be_withdrawn() -> None:
    state = published(3).publish(20)
    assert state.withdraw(3).line == Line(stable=2, next=4, percent=20, withdrawn=(3,))
    former = state.withdraw(2)
    assert former.line == Line(stable=3, next=4, percent=20, withdrawn=(2,))
    assert former.former == (1,)
    replaced = state.publish(30).withdraw(4)
    assert replaced.line == Line(stable=3, next=5, percent=30, withdrawn=(4,))
    for number in (4, 1 << 31):
        with pytest.raises(RolloutError, match=f"{number} is no release, or is withdrawn already"):
            replaced.withdraw(number)


def test_a_number_that_was_withdrawn_unseen_is_given_to_nothing() -> None:
    """Whoever stole a key may have offered it to devices."""
    state = published(1).withdraw(2).withdraw(3)
    assert state.publish(None).line == Line(stable=1, next=4, percent=10, withdrawn=(2, 3))


@pytest.mark.parametrize(
    ("run_ahead", "following"),
    [
        (MAX_RELEASE_NUMBER, [6, 7, 8]),
        (MAX_RELEASE_NUMBER - 1, [MAX_RELEASE_NUMBER, 6, 7]),
        (1 << 40, [6, 7, 8]),
    ],
)
def test_numbers_go_on_where_somebody_has_given_the_last_away(
    run_ahead: int, following: list[int]
) -> None:
    """Above what the owner gave, as devices keep what is newer."""
    state = replace(published(3), highest=run_ahead, files={"of a withdrawn one": 5})
    if run_ahead <= MAX_RELEASE_NUMBER:
        state = state.withdraw(run_ahead)
    found = []
    for _ in following:
        state = state.publish(None)
        found.append(state.highest)
    assert found == following


def test_what_is_on_hold_is_for_nobody_until_it_is_resumed() -> None:
    state = published(1).publish(100).hold()
    assert state.line.wanted("demo", b"device") == 1
    assert state.resume().line.wanted("demo", b"device") == 2
    assert state.promote().line == Line(stable=2)


def test_a_withdrawal_points_back_and_frees_no_number() -> None:
    state = published(3).publish(None).withdraw()
    assert (state.line, state.highest) == (Line(stable=3, withdrawn=(4,)), 4)
    state = state.withdraw()
    assert (state.line, state.former) == (Line(stable=2, withdrawn=(4, 3)), (1,))
    state = state.withdraw().withdraw()
    gone = (4, 3, 2, 1)
    assert (state.line, state.highest) == (Line(withdrawn=gone), 4)
    assert state.publish(None).line == Line(next=5, percent=10, withdrawn=gone)
    with pytest.raises(RolloutError, match="nothing is published"):
        state.withdraw()


@pytest.mark.parametrize(
    "step",
    [LineState.hold, LineState.resume, LineState.promote, lambda state: state.stage(3)],
)
def test_what_is_not_on_its_way_cannot_be_staged(step: Step) -> None:
    with pytest.raises(RolloutError, match="no release is on its way"):
        step(published(1))


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_share_is_between_none_and_all(percent: int) -> None:
    with pytest.raises(RolloutError, match="not between 0 and 100"):
        LineState().publish(percent)


@given(st.lists(steps, max_size=40))
def test_numbers_only_rise_and_what_is_offered_is_bounded(taken: list[Step]) -> None:
    state, given_numbers = LineState(), set[int]()
    for step in taken:
        try:
            after = step(state)
        except RolloutError:
            continue
        assert after.highest >= state.highest
        if after.highest > state.highest:
            assert after.line.next == after.highest
            assert after.highest not in given_numbers
            given_numbers.add(after.highest)
        assert after.offered <= given_numbers
        assert len(after.offered) <= MOST_FORMER + 2
        assert after.line.next is None or after.line.next != after.line.stable
        assert not after.offered & set(after.line.withdrawn)
        state = after
