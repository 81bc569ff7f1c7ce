"""A draft that brings nothing rests longer and longer, and wakes when it brings something."""

from outrider_edge.rest import Rest
from outrider_edge.tempo import Tempo


def rests(rest: Rest, gains: list[int]) -> list[int]:
    """Commits sat out after each epoch; `gains` are the tokens each epoch brought."""
    sat_out, proposals, by_draft = [], 0, 0
    for gain in gains:
        proposals, by_draft = proposals + 1, by_draft + gain
        rest.ended(proposals, by_draft)
        commits = 0
        while rest.resting:
            rest.committed()
            rest.ended(proposals, by_draft)  # nothing was tried meanwhile
            commits += 1
        sat_out.append(commits)
    return sat_out


def test_a_useless_draft_rests_twice_as_long_each_time() -> None:
    assert rests(Rest(Tempo()), [0] * 12) == [0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 256]


def test_a_useful_draft_never_rests() -> None:
    assert rests(Rest(Tempo()), [0, 0, 1, 0, 0, 0, 2] * 5) == [0] * 35


def test_one_good_epoch_ends_the_rests() -> None:
    assert rests(Rest(Tempo()), [0] * 6 + [1] + [0] * 3)[6:] == [0, 0, 0, 0]


def test_a_rest_goes_on_in_the_next_generation() -> None:
    tempo = Tempo()
    first = Rest(tempo)
    for proposals in range(1, 6):
        first.ended(proposals, 0)
    first.committed()
    second = Rest(tempo)
    for left in (3, 2, 1):
        assert second.resting, left
        second.committed()
    assert not second.resting


def test_the_next_generation_of_a_useless_draft_tries_once() -> None:
    tempo = Tempo()
    rests(Rest(tempo), [0] * 12)
    assert rests(Rest(tempo), [0, 0]) == [256, 256]
    assert rests(Rest(tempo), [1, 0]) == [0, 0]
