"""The device's loop against a cloud that lies, and its own rules of proposing."""

import pytest

from outrider_edge.draft import Candidate, Expansion
from outrider_edge.errors import ProtocolError
from outrider_edge.events import Confirmed, Origin, RolledBack, Written
from outrider_edge.policy import Fallback, Policy, Shape
from outrider_edge.request import Request
from outrider_edge.speculate import Speculation
from outrider_edge.tempo import Tempo
from outrider_protos.loghash import LogHash
from outrider_protos.words import (
    Ack,
    Append,
    Cancel,
    CloudWord,
    Commit,
    Finish,
    FinishReason,
    GoAway,
    Open,
    Opened,
    Propose,
    Rollback,
)

END = 0


def request(
    *, keep: int = 0, patience_ms: float | None = None, rollback: Rollback | None = None
) -> Request:
    return Request(
        session=b"s" * 16,
        log=(5, 6, 7),
        keep=keep,
        max_length=40,
        end_ids=frozenset({END}),
        patience_ms=patience_ms,
        rollback=rollback,
        run_ahead=4,
    )


PAIRS = Policy(shape=Shape(span=2, window=4))


def opened(policy: Policy = PAIRS) -> Speculation:
    loop = Speculation(request(), policy)
    loop.connected()
    loop.hear(Opened(3), 0.0)
    loop.words()
    return loop


def test_where_the_cloud_waits_for_proposals_a_resting_draft_writes() -> None:
    tempo = Tempo()
    tempo.rest_commits = 9
    for patience_ms, drafts in ((None, True), (0.0, False)):
        loop = Speculation(request(patience_ms=patience_ms), PAIRS, tempo=tempo)
        loop.connected()
        assert (loop.job() is not None) is drafts


def write(loop: Speculation, *tokens: int, confidence: float = 0.9) -> None:
    """Let the draft write these tokens, one after the other."""
    for token in tokens:
        job = loop.job()
        assert job is not None
        expansion = Expansion(
            candidates=(Candidate(token, confidence),), max_probability=confidence
        )
        loop.drafted(job, [expansion], 0.001)


def commit(node: int, *tokens: int, length: int, epoch: int = 1) -> Commit:
    return Commit(epoch=epoch, node=node, tokens=tokens, length=length)


def test_it_declares_its_log_and_sends_what_the_cloud_may_lack() -> None:
    loop = Speculation(request(keep=1), Policy())
    loop.connected()
    declared = LogHash()
    declared.append((5, 6, 7))
    first, second = loop.words()
    assert isinstance(first, Open)
    assert (first.keep, first.length, first.digest) == (1, 3, declared.digest())
    assert second == Append(at=1, tokens=(6, 7))


def test_a_cloud_that_lost_the_log_is_sent_it_again() -> None:
    loop = Speculation(request(keep=3), Policy())
    loop.connected()
    loop.words()
    loop.hear(Opened(0), 0.0)
    assert loop.words() == [Append(at=0, tokens=(5, 6, 7))]


def test_a_cloud_whose_log_differs_is_sent_everything_again() -> None:
    loop = Speculation(request(keep=3), Policy())
    loop.connected()
    loop.words()
    loop.hear(Opened(3), 0.0)
    assert loop.words() == []
    loop.hear(Opened(0), 0.0)
    assert loop.words() == [Append(at=0, tokens=(5, 6, 7))]


def test_full_spans_are_sent_and_the_window_holds_drafting_back() -> None:
    loop = opened()
    write(loop, 1)
    assert loop.words() == []
    write(loop, 2)
    assert loop.words() == [Propose(epoch=1, at=3, first_node=1, tokens=(1, 2))]
    write(loop, 3, 4)
    assert loop.words() == [Propose(epoch=1, at=0, first_node=3, tokens=(3, 4))]
    assert loop.job() is None


def test_a_commit_along_the_path_keeps_the_epoch_alive() -> None:
    loop = opened()
    write(loop, 1, 2, 3)
    loop.words()
    loop.hear(commit(2, 3, length=6), 0.1)
    assert loop.log == [5, 6, 7, 1, 2, 3]
    write(loop, 4, 8)
    (word,) = loop.words()
    # Node 3 was never sent, so the cloud's trie must be rooted after it.
    assert word == Propose(epoch=2, at=6, first_node=1, tokens=(4, 8))


def test_where_log_and_draft_part_a_new_epoch_begins_at_the_logs_end() -> None:
    loop = opened()
    write(loop, 1, 2, 3, 4)
    loop.words()
    loop.hear(commit(1, 9, length=5), 0.1)
    job = loop.job()
    assert job is not None
    assert job.log == [5, 6, 7, 1, 9]
    write(loop, 3, 3)
    assert loop.words() == [Propose(epoch=2, at=5, first_node=1, tokens=(3, 3))]


def test_origins_tell_draft_from_target() -> None:
    loop = opened()
    write(loop, 1, 2)
    loop.hear(commit(1, 9, length=5), 0.1)
    assert loop.events() == [
        Written(3, 1, Origin.DRAFT),
        Written(4, 9, Origin.TARGET),
        Confirmed(5),
    ]


def test_an_unsure_token_is_not_sent_as_truth() -> None:
    policy = Policy(shape=Shape(span=8, window=8), fallback=Fallback(threshold=0.5))
    loop = opened(policy)
    write(loop, 1, 2)
    assert loop.words() == []
    write(loop, 3, confidence=0.4)
    assert loop.words() == [Propose(epoch=1, at=3, first_node=1, tokens=(1, 2))]
    assert [e for e in loop.events() if isinstance(e, Written)] == [
        Written(3, 1, Origin.PROVISIONAL),
        Written(4, 2, Origin.PROVISIONAL),
    ]


def test_a_draft_unsure_at_once_asks_the_cloud_to_decode() -> None:
    policy = Policy(shape=Shape(span=8, window=8), fallback=Fallback(threshold=0.5))
    loop = opened(policy)
    loop.hear(commit(0, 1, length=4, epoch=0), 0.1)  # the prompt's own pass
    write(loop, 3, confidence=0.4)
    assert loop.words() == [Propose(epoch=1, at=4, first_node=1, tokens=())]
    write(loop, 4, confidence=0.4)
    assert loop.words() == []


def test_a_rollback_withdraws_what_was_shown() -> None:
    policy = Policy(shape=Shape(span=2, window=8), fallback=Fallback(threshold=0.5))
    loop = opened(policy)
    write(loop, 1, 2)
    loop.events()
    loop.hear(commit(1, 9, length=5), 0.1)
    assert loop.events() == [RolledBack(4), Written(4, 9, Origin.TARGET), Confirmed(5)]
    assert loop.tally.rollbacks == 1


def test_long_silence_is_acknowledged_when_the_cloud_runs_ahead() -> None:
    loop = Speculation(request(patience_ms=0.0), Policy(), drafting=False)
    loop.connected()
    loop.hear(Opened(3), 0.0)
    loop.words()
    loop.hear(commit(0, 9, length=4, epoch=0), 0.1)
    assert loop.words() == [Ack(length=4)]


def test_a_cancelled_generation_says_so_once() -> None:
    loop = opened()
    loop.cancel()
    assert loop.words() == [Cancel()]
    loop.hear(Finish(FinishReason.CANCELLED), 0.1)
    assert loop.finished is FinishReason.CANCELLED
    assert loop.job() is None


def test_nothing_is_drafted_past_an_end_token() -> None:
    loop = opened()
    write(loop, 1, END)
    assert loop.job() is None


def test_without_a_draft_every_token_is_asked_for() -> None:
    loop = opened()
    loop.stop_drafting()
    assert loop.words() == []  # the first token comes with the prompt
    loop.hear(commit(0, 1, length=4, epoch=0), 0.1)
    assert loop.words() == [Propose(epoch=1, at=4, first_node=1, tokens=())]
    loop.hear(commit(0, 2, length=5), 0.2)
    assert loop.words() == [Propose(epoch=2, at=5, first_node=1, tokens=())]


LIES: list[CloudWord] = [
    commit(1, 9, length=6),  # more than it says
    commit(1, 9, length=4),  # less
    commit(5, 9, length=9),  # a node never proposed
    GoAway(5),
    Opened(9),
]


@pytest.mark.parametrize("lie", LIES)
def test_what_cannot_be_true_is_refused(lie: CloudWord) -> None:
    loop = opened()
    write(loop, 1, 2)
    with pytest.raises(ProtocolError):
        loop.hear(lie, 0.1)
    assert loop.log == [5, 6, 7]


def test_a_doubled_commit_is_refused() -> None:
    loop = opened()
    write(loop, 1, 2)
    loop.hear(commit(1, 9, length=5), 0.1)
    with pytest.raises(ProtocolError):
        loop.hear(commit(1, 9, length=5), 0.2)


def test_a_commit_before_the_session_is_open_is_refused() -> None:
    loop = Speculation(request(), Policy())
    loop.connected()
    with pytest.raises(ProtocolError):
        loop.hear(commit(0, 9, length=4), 0.1)


def test_after_a_break_the_log_is_declared_and_the_rest_proposed_again() -> None:
    loop = opened()
    write(loop, 1, 2, 3, 4)
    loop.words()
    loop.hear(commit(1, length=4), 0.1)
    loop.disconnected()
    assert loop.words() == []
    loop.connected()
    first, second = loop.words()
    assert isinstance(first, Open)
    assert (first.keep, first.length) == (4, 4)
    assert second == Propose(epoch=2, at=4, first_node=1, tokens=(2, 3, 4))
