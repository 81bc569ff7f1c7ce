"""The best settings for a machine and its answers, found by trying them in the simulation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.ideal import Answer, Machine, Outcome, Patience, Plan, simulate_all

SPANS = (1, 2, 3, 4, 6, 8, 12, 16)
WINDOWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan and what it gives."""

    plan: Plan
    outcome: Outcome


def best_pipeline(machine: Machine, answers: Sequence[Answer], patience: Patience) -> Choice:
    """The fastest span and window of the pipelined protocol."""
    shapes = ((span, window) for span in SPANS for window in WINDOWS if window >= span)
    return _fastest(machine, answers, patience, shapes)


def best_rounds(machine: Machine, answers: Sequence[Answer]) -> Choice:
    """The fastest classic rounds: draft a fixed number, wait for the verdict, and again."""
    shapes = ((length, length) for length in WINDOWS)
    return _fastest(machine, answers, Patience.INFINITE, shapes)


def _fastest(
    machine: Machine,
    answers: Sequence[Answer],
    patience: Patience,
    shapes: Iterator[tuple[int, int]],
) -> Choice:
    acceptance = mean_acceptance(answers)
    plans = (
        Plan(span=span, window=window, patience=patience, expected_acceptance=acceptance)
        for span, window in shapes
    )
    choices = (Choice(plan, simulate_all(machine, answers, plan)) for plan in plans)
    return min(choices, key=lambda choice: choice.outcome.seconds)


def mean_acceptance(answers: Sequence[Answer]) -> float:
    """The share of positions at which the draft writes the target's token."""
    agrees = [agree for answer in answers for agree in answer.agrees]
    return sum(agrees) / len(agrees)
