"""Rule 1: whatever draft, link and clouds do, exact mode writes the target's own text."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from outrider_cloud.verifier import VerifierSettings
from outrider_edge.events import Confirmed, RolledBack, Written
from outrider_edge.generation import Endurance
from outrider_edge.policy import Policy, Shape
from outrider_edge.request import Request
from outrider_edge.speculate import Speculation
from outrider_protos.words import Sampling
from tests.simulators.draft import DraftHabits, SimulatedDraft
from tests.simulators.target import SMALL, SimulatedTarget
from tests.simulators.world import Faults, Pace, Run, World

ENDLESS = Endurance(resume_s=1e9)

samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.0, 1.5]),
    top_k=st.sampled_from([None, 3]),
    top_p=st.sampled_from([None, 0.8]),
    seed=st.integers(0, 2**64 - 1),
)
shapes = st.builds(
    lambda span, more, width, branches: Shape(
        span=span, window=span + more, width=width, branches=branches
    ),
    span=st.integers(1, 6),
    more=st.integers(0, 12),
    width=st.integers(1, 3),
    branches=st.integers(1, 3),
)
requests = st.builds(
    Request,
    session=st.just(b"s" * 16),
    log=st.lists(st.integers(1, 11), min_size=1, max_size=20).map(tuple),
    max_length=st.integers(21, 120),
    end_ids=st.just(SMALL.end_ids),
    stop_ids=st.sampled_from([(), (7,)]),
    sampling=samplings,
    patience_ms=st.sampled_from([None, 0.0, 3.0, 50.0]),
    run_ahead=st.sampled_from([1, 4, 64]),
)
habits = st.builds(
    DraftHabits,
    vocabulary=st.just(12),
    right=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    context_tokens=st.sampled_from([30, 10_000]),
)
paces = st.builds(
    Pace,
    link_s=st.sampled_from([0.0001, 0.01, 0.1]),
    draft_s=st.sampled_from([0.0005, 0.004, 0.05]),
    forward_s=st.sampled_from([0.001, 0.02]),
)
moments = st.frozensets(st.integers(1, 120), max_size=6)
faults = st.builds(
    Faults,
    breaks=moments,
    restarts=moments,
    moves=moments,
    silence_s=st.sampled_from([0.0, 0.2, 3.0]),
)


def draft(habits: DraftHabits, target: SimulatedTarget) -> SimulatedDraft:
    def oracle(text: tuple[int, ...], sampling: Sampling) -> int:
        return target.alone(text, sampling, len(text) + 1).tokens[0]

    return SimulatedDraft(habits, oracle)


def check(run: Run, target: SimulatedTarget) -> None:
    """The log is the target's, and the reader saw exactly that."""
    request = run.loop.request
    expected = target.alone(request.log, request.sampling, request.max_length, request.stop_ids)
    outcome = run.ended
    assert outcome.error is None
    assert outcome.log == request.log + expected.tokens
    assert outcome.reason is expected.reason
    written = [e for e in run.events if isinstance(e, Written)]
    assert [e.token for e in written] == list(expected.tokens)
    assert [e.position for e in written] == list(range(len(request.log), len(outcome.log)))
    assert [e for e in run.events if isinstance(e, Confirmed)][-1].length == len(outcome.log)
    assert not any(isinstance(e, RolledBack) for e in run.events)


@settings(max_examples=300)
@given(requests, shapes, habits, paces, faults, st.sampled_from([1, 5, 16, 4096]))
def test_exact_mode_equals_the_target_alone(
    request: Request,
    shape: Shape,
    habits: DraftHabits,
    pace: Pace,
    faults: Faults,
    epoch_nodes: int,
) -> None:
    target = SimulatedTarget()
    world = World(SimulatedTarget, pace=pace, faults=faults)
    loop = Speculation(request, Policy(shape=shape, epoch_nodes=epoch_nodes))
    (run,) = world.run([(loop, draft(habits, target))], ENDLESS)
    check(run, target)


@settings(max_examples=60)
@given(st.lists(st.tuples(requests, shapes, habits), min_size=2, max_size=5), paces, faults)
def test_many_sessions_each_get_what_they_get_alone(
    generations: list[tuple[Request, Shape, DraftHabits]], pace: Pace, faults: Faults
) -> None:
    target = SimulatedTarget()
    tight = replace(SMALL, pages=60)
    world = World(
        lambda: SimulatedTarget(tight),
        pace=pace,
        faults=faults,
        settings=VerifierSettings(forward_tokens=24),
    )
    loops = [
        (
            Speculation(replace(request, session=bytes([i] * 16)), Policy(shape=shape)),
            draft(habits, target),
        )
        for i, (request, shape, habits) in enumerate(generations)
    ]
    for run in world.run(loops, ENDLESS):
        check(run, target)


@settings(max_examples=60)
@given(requests, shapes, habits, st.integers(1, 60))
def test_a_break_at_any_word_neither_loses_nor_doubles(
    request: Request, shape: Shape, habits: DraftHabits, moment: int
) -> None:
    target = SimulatedTarget()
    world = World(SimulatedTarget, faults=Faults(breaks=frozenset({moment, 2 * moment})))
    loop = Speculation(request, Policy(shape=shape))
    (run,) = world.run([(loop, draft(habits, target))], ENDLESS)
    check(run, target)


@settings(max_examples=40)
@given(requests, paces)
def test_the_cloud_alone_needs_no_draft(request: Request, pace: Pace) -> None:
    target = SimulatedTarget()
    world = World(SimulatedTarget, pace=pace)
    loop = Speculation(replace(request, patience_ms=0.0), Policy(), drafting=False)
    (run,) = world.run([(loop, None)], ENDLESS)
    check(run, target)
