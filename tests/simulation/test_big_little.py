"""Big-Little over a faulty link: every token that stands is one the rule lets stand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from outrider_edge.events import Confirmed, Event, Origin, RolledBack, Written
from outrider_edge.generation import Endurance
from outrider_edge.policy import Fallback, Policy, Shape, Signal
from outrider_edge.request import Request
from outrider_edge.speculate import Speculation
from outrider_protos.words import Distance, FinishReason, Rollback
from tests.simulation.test_exact import ENDLESS, draft, faults, habits, paces, shapes
from tests.simulators.draft import DraftHabits
from tests.simulators.target import SMALL, SimulatedTarget
from tests.simulators.world import Faults, Pace, World

fallbacks = st.builds(
    Fallback, threshold=st.sampled_from([0.0, 0.3, 0.6, 1.0]), signal=st.sampled_from(Signal)
)
requests = st.builds(
    Request,
    session=st.just(b"s" * 16),
    log=st.lists(st.integers(1, 11), min_size=1, max_size=20).map(tuple),
    max_length=st.integers(21, 90),
    end_ids=st.just(SMALL.end_ids),
    rollback=st.builds(
        Rollback, threshold=st.sampled_from([0.0, 1.0, 3.0]), distance=st.just(Distance.SURPRISE)
    ),
)


def shown(events: list[Event], start: int) -> dict[int, int]:
    """What the reader sees in the end, by position; fails when events contradict each other."""
    text: dict[int, int] = {}
    confirmed = start
    for event in events:
        match event:
            case Written(position, token, _):
                assert position == start + len(text), "text is written one token after another"
                text[position] = token
            case RolledBack(to):
                assert to >= confirmed, "confirmed text was withdrawn"
                text = {p: t for p, t in text.items() if p < to}
            case Confirmed(length):
                assert confirmed <= length <= start + len(text)
                confirmed = length
    return text


def single(shape: Shape) -> Shape:
    return Shape(span=shape.span, window=shape.window)


@settings(max_examples=200)
@given(requests, fallbacks, shapes, habits, paces, faults)
def test_what_stands_is_the_targets_choice_or_within_the_threshold(
    request: Request,
    fallback: Fallback,
    shape: Shape,
    habits: DraftHabits,
    pace: Pace,
    faults: Faults,
) -> None:
    target = SimulatedTarget()
    world = World(SimulatedTarget, pace=pace, faults=faults)
    policy = Policy(shape=single(shape), fallback=fallback, unverified_tokens=20)
    (run,) = world.run([(Speculation(request, policy), draft(habits, target))], ENDLESS)
    outcome, rule = run.ended, request.rollback
    assert outcome.error is None
    assert rule is not None
    for index in range(len(request.log), len(outcome.log)):
        log, token = outcome.log[:index], outcome.log[index]
        choice = target.alone(log, request.sampling, index + 1).tokens[0]
        assert token == choice or target.distance(log, token, rule, None) <= rule.threshold
    start = len(request.log)
    text = shown(run.events, start)
    assert tuple(text.values()) == outcome.log[start:] + outcome.tail
    assert outcome.tail or outcome.reason is not None


@settings(max_examples=100)
@given(requests, fallbacks, shapes, habits, paces)
def test_a_threshold_of_zero_is_exact_mode(
    request: Request, fallback: Fallback, shape: Shape, habits: DraftHabits, pace: Pace
) -> None:
    target = SimulatedTarget()
    world = World(SimulatedTarget, pace=pace)
    exact = Request(
        session=request.session,
        log=request.log,
        max_length=request.max_length,
        end_ids=request.end_ids,
        rollback=Rollback(threshold=0.0),
    )
    policy = Policy(shape=single(shape), fallback=fallback)
    (run,) = world.run([(Speculation(exact, policy), draft(habits, target))], ENDLESS)
    expected = target.alone(exact.log, exact.sampling, exact.max_length)
    assert run.ended.log == exact.log + expected.tokens


def test_a_sure_draft_calls_the_cloud_less_often_than_an_unsure_one() -> None:
    target = SimulatedTarget()
    passes = []
    for threshold in (0.0, 1.0):
        request = Request(
            session=b"s" * 16,
            log=(1, 2, 3),
            max_length=60,
            end_ids=SMALL.end_ids,
            rollback=Rollback(threshold=100.0),
        )
        policy = Policy(shape=Shape(span=10, window=20), fallback=Fallback(threshold=threshold))
        world = World(SimulatedTarget)
        (run,) = world.run([(Speculation(request, policy), draft(HABITS, target))], ENDLESS)
        passes.append(run.ended.tally.commits / (len(run.ended.log) - 3))
    assert passes[0] < 0.3
    assert passes[1] > 0.9


HABITS = DraftHabits(vocabulary=12, right=0.8)


def test_without_a_cloud_the_text_goes_on_bounded_and_marked() -> None:
    target = SimulatedTarget()
    request = Request(
        session=b"s" * 16,
        log=(1, 2, 3),
        max_length=90,
        end_ids=SMALL.end_ids,
        rollback=Rollback(threshold=2.0),
    )
    world = World(SimulatedTarget, faults=Faults(breaks=frozenset({10}), silence_s=1e6))
    policy = Policy(fallback=Fallback(threshold=0.5), unverified_tokens=12)
    endurance = Endurance(resume_s=60.0, unverified_s=1.0)
    (run,) = world.run([(Speculation(request, policy), draft(HABITS, target))], endurance)
    outcome = run.ended
    assert outcome.error is None
    assert outcome.reason is None
    assert 0 < len(outcome.tail) <= 12
    unverified = [e for e in run.events if isinstance(e, Written) and e.origin is Origin.UNVERIFIED]
    assert unverified
    assert world.now_s < 10


def test_what_was_written_alone_is_judged_when_the_cloud_is_back() -> None:
    target = SimulatedTarget()
    request = Request(
        session=b"s" * 16,
        log=(1, 2, 3),
        max_length=90,
        end_ids=SMALL.end_ids,
        rollback=Rollback(threshold=0.0),
    )
    world = World(SimulatedTarget, faults=Faults(breaks=frozenset({10}), silence_s=0.5))
    policy = Policy(fallback=Fallback(threshold=0.5))
    (run,) = world.run([(Speculation(request, policy), draft(HABITS, target))], ENDLESS)
    expected = target.alone(request.log, request.sampling, request.max_length)
    assert run.ended.log == request.log + expected.tokens
    assert run.ended.reason is not FinishReason.CANCELLED
    assert any(isinstance(e, Written) and e.origin is Origin.UNVERIFIED for e in run.events)
