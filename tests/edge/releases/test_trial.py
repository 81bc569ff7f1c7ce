"""A trial ends rightly, soon where the difference is large, and wrongly as seldom as promised."""

from math import isfinite
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.releases.trial import Outcome, Trial, TrialTerms


def ended(shift: float, seed: int, spread: float = 0.1) -> tuple[Outcome, int]:
    """A trial of drafts whose acceptances differ by `shift` in the mean."""
    random, trial = Random(seed), Trial()
    while trial.outcome is Outcome.GOES_ON:
        old = min(1.0, max(0.0, random.gauss(0.6, spread)))
        new = min(1.0, max(0.0, old + random.gauss(shift, spread)))
        trial = trial.with_answer(new, old)
    return trial.outcome, trial.answers


@pytest.mark.parametrize(
    ("shift", "outcome"),
    [(0.1, Outcome.COMMIT), (0.0, Outcome.COMMIT), (-0.1, Outcome.REVERT), (-0.3, Outcome.REVERT)],
)
def test_it_ends_as_it_should(shift: float, outcome: Outcome) -> None:
    outcomes = [ended(shift, seed)[0] for seed in range(200)]
    assert outcomes.count(outcome) >= 190


def test_a_large_difference_is_seen_soon() -> None:
    ruined = [ended(-0.5, seed)[1] for seed in range(50)]
    assert max(ruined) < 40


def test_at_the_margin_neither_end_is_reached_by_chance_too_often() -> None:
    """There the bets are fair: one in twenty may be won, not more, before the mean decides."""
    terms = TrialTerms()
    wrong = 0
    for seed in range(400):
        random, trial = Random(seed), Trial()
        for _ in range(terms.answers - 1):
            trial = trial.with_answer(0.5 - terms.margin + random.choice((-0.3, 0.3)), 0.5)
            if trial.outcome is not Outcome.GOES_ON:
                wrong += 1
                break
    assert wrong <= 400 * 2 * terms.error


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=60))
def test_no_bet_ever_loses_all(answers: list[tuple[float, float]]) -> None:
    trial = Trial()
    for new, old in answers:
        trial = trial.with_answer(new, old)
        assert all(isfinite(each) for each in (*trial.for_it, *trial.against_it))


@pytest.mark.parametrize(
    ("answers", "shift", "leaning"),
    [
        (0, 0.0, Outcome.COMMIT),
        (1, -0.02, Outcome.COMMIT),
        (1, -0.5, Outcome.GOES_ON),
        (49, -0.04, Outcome.GOES_ON),
        (50, -0.04, Outcome.REVERT),
        (50, -0.02, Outcome.COMMIT),
    ],
)
def test_a_few_bad_answers_send_nothing_back(answers: int, shift: float, leaning: Outcome) -> None:
    """A device that hardly answers would refuse better drafts for good."""
    trial = Trial()
    for _ in range(answers):
        trial = trial.with_answer(0.5 + shift, 0.5)
    assert trial.leaning is leaning
