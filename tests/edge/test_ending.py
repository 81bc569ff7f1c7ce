"""How a generation ends: nothing unjudged stays in view, a lost farewell is no beginning."""

import pytest

from outrider_edge.draft import Candidate, Expansion
from outrider_edge.events import Origin, RolledBack, Written
from outrider_edge.policy import Fallback, Policy, Shape
from outrider_edge.request import Request
from outrider_edge.speculate import Speculation
from outrider_protos.words import Cancel, Commit, Finish, FinishReason, Opened

END, STOP = 0, 8
BIG_LITTLE = Policy(shape=Shape(span=8, window=8), fallback=Fallback(threshold=0.5))


def opened(policy: Policy = BIG_LITTLE, log: tuple[int, ...] = (5, 6)) -> Speculation:
    request = Request(
        session=b"s" * 16, log=log, max_length=6, end_ids=frozenset({END}), stop_ids=(STOP,)
    )
    loop = Speculation(request, policy)
    loop.connected()
    loop.hear(Opened(len(log)), 0.0)
    loop.words()
    return loop


def write(loop: Speculation, token: int) -> None:
    job = loop.job()
    assert job is not None
    loop.drafted(job, [Expansion(candidates=(Candidate(token, 0.9),), max_probability=0.9)], 0.001)


def commit(loop: Speculation, *tokens: int) -> None:
    """The target writes by itself."""
    loop.hear(Commit(epoch=0, node=0, tokens=tokens, length=len(loop.log) + len(tokens)), 0.1)


def test_what_is_not_judged_when_the_text_ends_is_withdrawn() -> None:
    loop = opened()
    write(loop, 1)
    write(loop, 2)
    assert loop.events() == [
        Written(2, 1, Origin.PROVISIONAL),
        Written(3, 2, Origin.PROVISIONAL),
    ]
    loop.hear(Finish(FinishReason.CONTEXT), 0.1)
    assert loop.events() == [RolledBack(2)]
    assert loop.tail == []


def test_nothing_is_drafted_after_the_target_has_ended_the_text() -> None:
    loop = opened()
    commit(loop, END)
    assert loop.job() is None


def test_a_prompt_may_end_with_an_end_token() -> None:
    assert opened(log=(5, END)).job() is not None


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ((1, END), FinishReason.END_TOKEN),
        ((1, STOP), FinishReason.STOP_TOKEN),
        ((1, 2, 3, 4), FinishReason.LENGTH),
        ((1, 2), None),
    ],
)
def test_a_line_lost_before_the_farewell_does_not_lengthen_the_text(
    tokens: tuple[int, ...], reason: FinishReason | None
) -> None:
    loop = opened(Policy())
    commit(loop, *tokens)
    loop.disconnected()
    assert loop.finished is reason


def test_cancelling_without_a_cloud_ends_at_once() -> None:
    loop = opened(Policy())
    loop.disconnected()
    loop.cancel()
    assert loop.finished is FinishReason.CANCELLED


def test_a_line_lost_after_cancelling_ends_the_text() -> None:
    loop = opened(Policy())
    loop.cancel()
    assert loop.words() == [Cancel()]
    assert loop.finished is None
    loop.disconnected()
    assert loop.finished is FinishReason.CANCELLED
