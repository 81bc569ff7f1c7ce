"""Big-Little against a literal reading of the paper, through the whole core."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider_cloud.errors import PeerCode, PeerError
from outrider_protos.choice import top_row
from outrider_protos.words import (
    Distance,
    Open,
    Propose,
    Rollback,
    TopRow,
)
from tests.simulators.rim import Rim, ScriptedDevice
from tests.simulators.target import SMALL, SimulatedTarget

TERMS = Open(session=b"s" * 16, keep=0, length=0, digest=b"", max_length=60)
PROMPT = [3, 1, 4, 1, 5]
ENDLESS = replace(SMALL, end_ids=frozenset())


rollbacks = st.one_of(
    st.builds(Rollback, threshold=st.floats(0, 4)),
    st.builds(Rollback, threshold=st.floats(0, 2), distance=st.just(Distance.KULLBACK_LEIBLER)),
    st.builds(Rollback, threshold=st.floats(0, 1), distance=st.just(Distance.TOTAL_VARIATION)),
)
spans = st.lists(st.lists(st.integers(0, 11), max_size=6), min_size=1, max_size=12)


def literal(
    target: SimulatedTarget,
    log: list[int],
    span: list[int],
    tops: tuple[TopRow, ...],
    rule: Rollback,
) -> list[int]:
    """Big-Little, one token at a time: the log after the span was judged."""
    for token, top in zip(span, tops, strict=True):
        choice = target.alone(log).tokens[0]
        near = rule.threshold > 0 and target.distance(log, token, rule, top) <= rule.threshold
        if token != choice and not near:
            return [*log, choice]
        log = [*log, token]
    return [*log, target.alone(log).tokens[0]]


@settings(max_examples=60, deadline=None)
@given(rollbacks, spans)
def test_big_little_is_what_a_literal_reading_gives(rule: Rollback, plan: list[list[int]]) -> None:
    limits = replace(ENDLESS, context_tokens=200, pages=100)
    rim, draft = Rim(limits), SimulatedTarget(limits, seed=2)
    device = ScriptedDevice(rim, 1, replace(TERMS, rollback=rule, max_length=150), PROMPT)
    device.open(keep=0)
    device.listen()
    rim.run()
    device.listen()
    for span in plan:
        log = device.log
        tops = tuple(top_row(draft.logits(log + span[:n]), 4) for n in range(len(span)))
        device.begin_epoch()
        if span:
            device.propose(span, top=tops)
        else:
            device.ask()
        assert rim.run() == 1
        device.listen()
        assert device.log == literal(rim.target, log, span, tops, rule)


def test_a_distance_over_buckets_needs_the_drafts_top_tokens() -> None:
    rule = Rollback(threshold=0.5, distance=Distance.TOTAL_VARIATION)
    rim = Rim(ENDLESS)
    rim.join(1, replace(TERMS, rollback=rule), PROMPT)
    rim.run()
    rim.hear(1, Propose(1, 6, 1, ()))
    with pytest.raises(PeerError, match="needs propose"):
        rim.hear(1, Propose(1, 6, 1, (4,)))


def test_a_top_token_outside_the_vocabulary_is_an_error() -> None:
    rule = Rollback(threshold=0.5, distance=Distance.KULLBACK_LEIBLER)
    rim = Rim(ENDLESS)
    rim.join(1, replace(TERMS, rollback=rule), PROMPT)
    rim.run()
    with pytest.raises(PeerError) as caught:
        rim.hear(1, Propose(1, 6, 1, (4,), top=(TopRow((4, 12), (0.5, 0.1)),)))
    assert caught.value.code is PeerCode.OUT_OF_RANGE
