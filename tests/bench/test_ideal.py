"""The ideal simulation against closed formulas where the protocol has one."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.best_plan import best_pipeline, best_rounds, mean_acceptance
from bench.ideal import (
    Answer,
    Machine,
    Outcome,
    Patience,
    Plan,
    paying,
    simulate,
    simulate_all,
    stream,
)
from bench.step_times import StepTimes

DRAFT_S = 0.004
TARGET_S = 0.020
SLOPE_S = 0.001
TOKENS = 240


def machine(rtt_s: float, slope_s: float = SLOPE_S) -> Machine:
    target = StepTimes({1: TARGET_S, 2: TARGET_S + slope_s})
    return Machine(draft=StepTimes({1: DRAFT_S}), target=target, rtt_s=rtt_s)


def answer(agrees: bool, tokens: int = TOKENS) -> Answer:
    return Answer(agrees=(agrees,) * tokens, draft_prefill_s=DRAFT_S)


def mixed(acceptance: float, tokens: int, seed: int) -> Answer:
    chance = random.Random(seed)
    agrees = tuple(chance.random() < acceptance for _ in range(tokens))
    return Answer(agrees=agrees, draft_prefill_s=DRAFT_S)


def rounds(length: int) -> Plan:
    return Plan(span=length, window=length, patience=Patience.INFINITE)


def seconds_of_further(tokens: int, given_machine: Machine, plan: Plan, agrees: bool) -> float:
    """What so many further tokens take, the beginning left out."""
    long = simulate(given_machine, answer(agrees, TOKENS + tokens), plan)
    return long.seconds - simulate(given_machine, answer(agrees, TOKENS), plan).seconds


@pytest.mark.parametrize("rtt_s", [0.0, 0.05])
@pytest.mark.parametrize("length", [1, 2, 4, 7])
def test_rounds_that_always_agree_give_length_and_one_tokens_a_cycle(
    rtt_s: float, length: int
) -> None:
    further = (length + 1) * 30
    cycle_s = rtt_s + length * DRAFT_S + TARGET_S + length * SLOPE_S
    took_s = seconds_of_further(further, machine(rtt_s), rounds(length), agrees=True)
    assert took_s == pytest.approx(30 * cycle_s)


@pytest.mark.parametrize("rtt_s", [0.0, 0.02, 0.1])
def test_rounds_that_never_agree_give_one_token_a_cycle(rtt_s: float) -> None:
    cycle_s = rtt_s + 3 * DRAFT_S + TARGET_S + 3 * SLOPE_S
    took_s = seconds_of_further(50, machine(rtt_s), rounds(3), agrees=False)
    assert took_s == pytest.approx(50 * cycle_s)


def test_a_pipeline_that_never_agrees_waits_for_the_draft_step_it_cannot_interrupt() -> None:
    plan = Plan(span=1, window=64, patience=Patience.INFINITE)
    quick = Machine(draft=StepTimes({1: 0.004}), target=StepTimes({1: 0.019}), rtt_s=0.0)
    # The node is sent at 4 ms, judged at 23 ms, learnt of at 24 ms with the sixth step's end.
    assert seconds_of_further(50, quick, plan, agrees=False) == pytest.approx(50 * 0.024)
    slow = Machine(draft=StepTimes({1: 0.015}), target=StepTimes({1: 0.020}), rtt_s=0.0)
    # The node is sent at 15 ms, judged at 35 ms, learnt of at 45 ms with the third step's end.
    assert seconds_of_further(50, slow, plan, agrees=False) == pytest.approx(50 * 0.045)


def test_without_a_link_and_with_a_slow_draft_that_agrees_the_draft_sets_the_pace() -> None:
    slow_draft = Machine(draft=StepTimes({1: 0.05}), target=StepTimes({1: 0.01}), rtt_s=0.0)
    plan = Plan(span=1, window=64, patience=Patience.INFINITE)
    outcome = simulate(slow_draft, answer(True), plan)
    assert outcome.seconds == pytest.approx(TOKENS * 0.05, rel=0.02)


def test_a_pipeline_that_always_agrees_hides_the_link_behind_drafting() -> None:
    plan = Plan(span=1, window=TOKENS, patience=Patience.INFINITE)
    outcome = simulate(machine(0.1, slope_s=0.0), answer(True), plan)
    assert outcome.seconds == pytest.approx(TOKENS * DRAFT_S + 0.1 + TARGET_S, rel=0.03)


def test_a_window_bounds_what_one_round_trip_can_carry() -> None:
    plan = Plan(span=1, window=8, patience=Patience.INFINITE)
    outcome = simulate(machine(0.1), answer(True), plan)
    assert outcome.seconds >= TOKENS / (8 + 1) * 0.1


@pytest.mark.parametrize("rtt_s", [0.0, 0.02, 0.1])
def test_without_patience_a_useless_draft_costs_nothing(rtt_s: float) -> None:
    given_machine, useless = machine(rtt_s), answer(False)
    plan = Plan(span=2, window=16, patience=Patience.ZERO, expected_acceptance=0.0)
    alone = stream(given_machine, [Answer(agrees=useless.agrees, target_prefill_s=0.0)])
    assert simulate(given_machine, useless, plan).seconds == pytest.approx(alone.seconds)


def test_streaming_costs_one_round_trip_the_prompt_and_a_step_a_token() -> None:
    given_answer = Answer(agrees=(True,) * 10, target_prefill_s=0.3)
    assert stream(machine(0.1), [given_answer]) == Outcome(0.1 + 0.3 + 9 * TARGET_S, 10, 10)


def test_a_late_node_that_matches_committed_tokens_still_counts() -> None:
    # The draft needs 50 ms before its first node, the cloud commits five tokens meanwhile and
    # then runs on at its own pace, which the faster draft overtakes: its nodes were never wrong.
    plan = Plan(span=4, window=64, patience=Patience.ZERO)
    late = Answer(agrees=(True,) * TOKENS, draft_prefill_s=0.05)
    outcome = simulate(machine(0.0, slope_s=0.0), late, plan)
    assert outcome.passes < TOKENS / 3


@given(
    acceptance=st.floats(0, 1),
    rtt_s=st.floats(0, 0.2),
    span=st.integers(1, 8),
    extra=st.integers(0, 24),
    patience=st.sampled_from(Patience),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_every_plan_ends_and_no_pass_is_free(
    acceptance: float, rtt_s: float, span: int, extra: int, patience: Patience, seed: int
) -> None:
    given_machine, given_answer = machine(rtt_s), mixed(acceptance, 60, seed)
    plan = Plan(span=span, window=span + extra, patience=patience, expected_acceptance=acceptance)
    outcome = simulate(given_machine, given_answer, plan)
    assert 1 <= outcome.passes <= outcome.tokens == 60
    assert outcome.seconds >= rtt_s + (outcome.passes - 1) * TARGET_S


@pytest.mark.parametrize("acceptance", [0.6, 0.8, 0.9])
@pytest.mark.parametrize("rtt_s", [0.02, 0.05, 0.1])
def test_the_best_pipeline_beats_the_best_rounds_on_every_link(
    acceptance: float, rtt_s: float
) -> None:
    given_machine, answers = machine(rtt_s), [mixed(acceptance, 400, seed=3)]
    pipeline = best_pipeline(given_machine, answers, Patience.INFINITE)
    assert pipeline.outcome.seconds < best_rounds(given_machine, answers).outcome.seconds


def test_outcomes_of_several_answers_add_up() -> None:
    answers = [mixed(0.8, 50, seed=1), mixed(0.5, 30, seed=2)]
    plan = Plan(span=2, window=8, patience=Patience.INFINITE)
    single = [simulate(machine(0.02), one, plan) for one in answers]
    total = simulate_all(machine(0.02), answers, plan)
    assert total.seconds == pytest.approx(single[0].seconds + single[1].seconds)
    assert total.tokens == 80
    assert mean_acceptance(answers) == sum(sum(one.agrees) for one in answers) / 80


def test_only_as_many_nodes_are_judged_as_pay() -> None:
    flat, steep = StepTimes({1: TARGET_S}), StepTimes({1: TARGET_S, 2: 2 * TARGET_S})
    assert paying(16, 0.8, flat) == 16
    assert paying(16, 0.8, steep) == 0
    assert paying(16, 0.0, flat) == 0
    # 1 + .8 over 1.2 is 1.5 a step, 1 + .8 + .64 over 1.4 is 1.74, ... the best is at four nodes.
    rates = {k: (1 - 0.8 ** (k + 1)) / 0.2 / (1 + 0.2 * k) for k in range(17)}
    gentle = StepTimes({1: TARGET_S, 2: 1.2 * TARGET_S})
    assert paying(16, 0.8, gentle) == max(rates, key=lambda k: rates[k])


def test_step_times_follow_straight_lines_between_and_past_the_measured_counts() -> None:
    times = StepTimes({1: 1.0, 2: 2.0, 6: 4.0})
    assert [times[rows] for rows in (1, 2, 4, 6, 8)] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert StepTimes({4: 1.5})[1] == 1.5
    with pytest.raises(ValueError, match="not a table"):
        StepTimes({})
