"""Whatever happens to a device's drafts, one that is known to be good is left."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.errors import BadInput
from outrider_edge.releases.pointer import MOST_REFUSED, Pointer

FIRST = Pointer(factory="f", active="f")
NAMES = st.sampled_from("fabcd")
Change = Callable[[Pointer], Pointer]
CHANGES: st.SearchStrategy[Change] = st.one_of(
    NAMES.map(lambda name: lambda p: p.begin_trial(name)),
    st.sampled_from(
        (Pointer.commit, Pointer.revert, Pointer.roll_back, Pointer.pin, Pointer.unpin)
    ),
    NAMES.map(lambda name: lambda p: p.pin(name)),
)


@given(st.lists(CHANGES, max_size=40))
def test_there_is_always_a_draft_that_proved_itself(changes: list[Change]) -> None:
    """Active is the factory's or was committed; what is refused drafts no more."""
    pointer, good = FIRST, {"f"}
    for change in changes:
        before = pointer
        try:
            pointer = change(pointer)
        except BadInput:
            continue
        if before.trial is not None and pointer.active == before.trial:
            good.add(before.trial)
        assert pointer.active in good
        assert pointer.previous is None or pointer.previous in good
        assert pointer.factory == "f"
        if before.trial is None and pointer.trial is not None:
            assert pointer.trial not in before.refused
            assert not before.pinned
        assert {pointer.drafting, pointer.active, "f"} <= pointer.kept


def test_a_trial_ends_one_way_or_the_other() -> None:
    trial = FIRST.begin_trial("a")
    assert trial.drafting == "a"
    assert trial.commit() == Pointer(factory="f", active="a", previous="f")
    assert trial.revert() == Pointer(factory="f", active="f", refused=("a",))
    with pytest.raises(BadInput, match="not tried again"):
        trial.revert().begin_trial("a")


def test_rolling_back_goes_to_the_one_before_and_then_to_the_factory() -> None:
    third = FIRST.begin_trial("a").commit().begin_trial("b").commit()
    once = third.roll_back()
    assert (once.active, once.refused) == ("a", ("b",))
    twice = once.roll_back()
    assert (twice.active, twice.refused) == ("f", ("b", "a"))
    with pytest.raises(BadInput, match="no older draft"):
        twice.roll_back()


def test_memory_of_what_was_refused_is_bounded() -> None:
    pointer = FIRST
    for number in range(MOST_REFUSED + 10):
        pointer = pointer.begin_trial(str(number)).revert()
    assert len(pointer.refused) == MOST_REFUSED
    assert pointer.refused[-1] == str(MOST_REFUSED + 9)


def test_what_was_withdrawn_is_not_gone_back_to() -> None:
    third = FIRST.begin_trial("a", 1).commit().begin_trial("b", 2).commit()
    assert not third.leaves((1,))
    assert third.leaves((2,))
    back = third.go_back((2,))
    assert (back.active, back.previous, back.refused) == ("a", None, ())
    assert third.go_back((2, 1)).active == "f"
    assert not FIRST.numbered("f", 3).leaves((3,))
