"""A generation from its first token to its end: commits, epochs, patience, ends."""

from dataclasses import replace

import pytest

from outrider_cloud.errors import PeerCode, PeerError
from outrider_cloud.verifier import VerifierSettings
from outrider_protos.choice import log_probability
from outrider_protos.words import (
    Ack,
    Cancel,
    Commit,
    DeviceWord,
    Finish,
    FinishReason,
    Open,
    Propose,
    Wants,
)
from tests.simulators.rim import Rim, opening
from tests.simulators.target import SMALL, SimulatedTarget

TERMS = Open(session=b"s" * 16, keep=0, length=0, digest=b"", max_length=60)
PROMPT = [3, 1, 4, 1, 5]
ENDLESS = replace(SMALL, end_ids=frozenset())


def running(terms: Open = TERMS, rim: Rim | None = None) -> tuple[Rim, list[int]]:
    """Stream 1 on a session that was opened; and the text the target writes from the prompt."""
    rim = rim or Rim(ENDLESS)
    rim.connect(1)
    rim.begin(1, terms, PROMPT)
    rim.take(1)
    return rim, [*PROMPT, *rim.target.alone(PROMPT, terms.sampling, 90).tokens]


def wrong(token: int) -> int:
    return (token + 1) % ENDLESS.vocab_size


def commits(rim: Rim) -> list[Commit]:
    return [word for word in rim.take(1) if isinstance(word, Commit)]


def test_a_commit_names_the_deepest_node_that_stands_and_the_targets_own_token() -> None:
    rim, text = running()
    rim.run()
    assert commits(rim) == [Commit(epoch=0, node=0, tokens=(text[5],), length=6)]
    rim.hear(1, Propose(1, 6, 1, (*text[6:9], wrong(text[9]), text[10])))
    assert rim.run() == 1
    assert commits(rim) == [Commit(epoch=1, node=3, tokens=(text[9],), length=10)]
    assert rim.target.held == {1: 9}


def test_the_branch_of_a_tree_that_is_right_stands() -> None:
    rim, text = running()
    rim.run()
    rim.take(1)
    tokens = (wrong(text[6]), text[6], text[7], wrong(text[7]), text[8])
    rim.hear(1, Propose(1, 6, 1, tokens, (0, 0, 2, 2, 3)))
    rim.run()
    assert commits(rim) == [Commit(epoch=1, node=5, tokens=(text[9],), length=10)]


def test_nodes_that_were_not_judged_still_count_when_the_log_runs_through_them() -> None:
    rim, text = running(rim=Rim(ENDLESS, VerifierSettings(judge_nodes=2)))
    rim.run()
    rim.take(1)
    rim.hear(1, Propose(1, 6, 1, tuple(text[6:11])))
    assert rim.run() == 2
    assert commits(rim) == [
        Commit(epoch=1, node=3, tokens=(), length=9),
        Commit(epoch=1, node=5, tokens=(text[11],), length=12),
    ]


def test_late_nodes_that_match_the_log_count_and_what_follows_them_is_judged() -> None:
    rim, text = running(replace(TERMS, patience_ms=0.0, run_ahead=3))
    rim.run()
    assert [commit.length for commit in commits(rim)] == [6, 7, 8]
    rim.hear(1, Propose(1, 5, 1, tuple(text[5:7])))
    assert rim.run() == 0
    rim.hear(1, Propose(1, 0, 3, tuple(text[7:10])))
    assert rim.run() == 1
    assert commits(rim) == [Commit(epoch=1, node=5, tokens=(text[10],), length=11)]


def test_an_older_epoch_is_dropped_without_an_error() -> None:
    rim, text = running()
    rim.run()
    rim.hear(1, Propose(2, 6, 1, (wrong(text[6]),)))
    rim.run()
    rim.take(1)
    rim.hear(1, Propose(1, 6, 1, (text[6],)), Propose(2, 6, 2, (text[7],)))
    assert rim.run() == 0
    assert rim.verifier.counters.stale_nodes == 2
    rim.hear(1, Propose(7, 7, 1, (text[7],)))
    rim.run()
    assert commits(rim) == [Commit(epoch=7, node=1, tokens=(text[8],), length=9)]


def test_every_node_is_judged_or_stale_or_was_overtaken() -> None:
    rim, text = running()
    rim.run()
    rim.hear(1, Propose(1, 6, 1, (text[6], wrong(text[6]), text[7], 1), (0, 0, 1, 2)))
    rim.run()
    rim.hear(1, Propose(1, 0, 5, (text[8], 3), (3, 2)))
    counters = rim.verifier.counters
    assert (counters.judged_nodes, counters.stale_nodes) == (4, 1)


@pytest.mark.parametrize(
    "word",
    [
        Propose(2, 7, 1, (1,)),
        Propose(2, 6, 2, (1,)),
        Propose(1, 6, 1, (1,)),
        Propose(1, 6, 4, (1,)),
        Propose(1, 5, 3, (1,)),
        Propose(1, 0, 3, (1, 1), (2, 4)),
        Propose(2, 6, 1, (12,)),
        Propose(1, 7, 3, ()),
        Ack(7),
    ],
)
def test_words_that_cannot_be_are_errors_and_cost_the_stream_alone(word: DeviceWord) -> None:
    rim, text = running()
    rim.run()
    rim.hear(1, Propose(1, 6, 1, (wrong(text[6]), 1)))
    with pytest.raises(PeerError) as caught:
        rim.hear(1, word)
    assert caught.value.code in (PeerCode.OUT_OF_ORDER, PeerCode.OUT_OF_RANGE)
    assert not rim.turn()
    rim.connect(2)
    rim.hear(2, opening(TERMS, text[:6]))
    rim.run()
    assert rim.take(2)[-1] == Commit(epoch=0, node=0, tokens=(text[6],), length=7)


def test_with_infinite_patience_nothing_is_decoded_unasked_after_the_first_token() -> None:
    rim, text = running(replace(TERMS, run_ahead=50))
    assert rim.run() == 1
    rim.now_s += 1e6
    assert rim.run() == 0
    assert rim.verifier.wake_at_s() is None
    rim.hear(1, Propose(1, 6, 1, ()))
    assert rim.run() == 1
    rim.take(1)
    rim.hear(1, Propose(2, 6, 1, ()))
    assert rim.run() == 0  # the log has that token already
    rim.hear(1, Propose(3, 7, 1, ()))
    rim.run()
    assert commits(rim) == [Commit(epoch=0, node=0, tokens=(text[7],), length=8)]


def test_asking_starts_no_epoch() -> None:
    rim, text = running()
    rim.run()
    rim.take(1)
    rim.hear(1, Propose(5, 6, 1, ()), Propose(1, 6, 1, (text[6],)))
    rim.run()
    assert commits(rim) == [Commit(epoch=1, node=1, tokens=(text[7],), length=8)]


def test_an_epoch_that_replaces_what_waited_leaves_nothing_to_call_for() -> None:
    rim, text = running()
    rim.run()
    rim.hear(1, Propose(1, 6, 1, (1,)), Propose(2, 5, 1, (wrong(text[5]),)))
    assert rim.run() == 0
    assert rim.verifier.counters.stale_nodes == 2


@pytest.mark.parametrize("run_ahead", [0, 1, 7])
def test_the_cloud_decodes_at_most_run_ahead_tokens_past_the_last_ack(run_ahead: int) -> None:
    rim, _ = running(replace(TERMS, patience_ms=0.0, run_ahead=run_ahead))
    rim.run()
    length = 5 + max(1, run_ahead)  # the first token comes with the prompt
    assert commits(rim)[-1].length == length
    rim.hear(1, Ack(6), Ack(2))
    assert rim.run() == (1 if run_ahead else 0)
    rim.hear(1, Ack(6))
    assert rim.run() == 0


def test_a_proposal_acknowledges_the_log_it_stands_on() -> None:
    rim, text = running(replace(TERMS, patience_ms=0.0, run_ahead=2))
    rim.run()
    rim.take(1)
    rim.hear(1, Propose(1, 7, 1, (wrong(text[7]),)))
    rim.run()
    assert [commit.length for commit in commits(rim)] == [8, 9]


def test_patience_counts_from_when_there_was_nothing_to_judge() -> None:
    rim, text = running(replace(TERMS, patience_ms=30.0, run_ahead=9))
    rim.run()
    assert rim.verifier.wake_at_s() == rim.now_s + 0.030
    rim.now_s += 0.029
    assert not rim.turn()
    rim.hear(1, Propose(1, 6, 1, (text[6],)))
    assert rim.turn()
    wake_at_s = rim.verifier.wake_at_s()
    assert wake_at_s == rim.now_s + 0.030
    rim.now_s = wake_at_s
    assert rim.turn()
    assert [commit.length for commit in commits(rim)] == [6, 8, 9]


def test_a_stop_id_ends_the_generation_and_nothing_is_committed_after_it() -> None:
    rim, text = running(replace(TERMS, stop_ids=()))
    stop = next(token for place, token in enumerate(text[6:], 6) if token not in text[5:place])
    length = text.index(stop, 6) + 1
    rim, text = running(replace(TERMS, stop_ids=(stop,)))
    rim.run()
    rim.take(1)
    rim.hear(1, Propose(1, 6, 1, tuple(text[6 : length + 4])))
    rim.run()
    assert rim.take(1) == [
        Commit(epoch=1, node=length - 6, tokens=(), length=length),
        Finish(FinishReason.STOP_TOKEN),
    ]
    assert rim.target.held == {1: length}


def test_the_end_token_counts_before_a_stop_id_and_the_length() -> None:
    text = [*PROMPT, *SimulatedTarget(ENDLESS).alone(PROMPT, max_length=60).tokens]
    limits = replace(SMALL, end_ids=frozenset({text[5]}))
    rim = Rim(limits, target=SimulatedTarget(limits, end_logit=0.0))
    rim, _ = running(replace(TERMS, stop_ids=(text[5],), max_length=6), rim)
    rim.run()
    assert rim.take(1)[-1] == Finish(FinishReason.END_TOKEN)


def test_a_stop_id_counts_before_the_length() -> None:
    rim, text = running()
    rim, _ = running(replace(TERMS, stop_ids=(text[5],), max_length=6))
    rim.run()
    assert rim.take(1)[-1] == Finish(FinishReason.STOP_TOKEN)


@pytest.mark.parametrize("proposed", range(8))
def test_the_length_is_met_exactly_whatever_was_proposed(proposed: int) -> None:
    rim, text = running(replace(TERMS, max_length=11, patience_ms=0.0, run_ahead=99))
    rim.turn()
    rim.hear(1, Propose(1, 6, 1, tuple(text[6 : 6 + proposed])))
    rim.run()
    told = rim.take(1)
    assert told[-1] == Finish(FinishReason.LENGTH)
    assert isinstance(told[-2], Commit)
    assert told[-2].length == 11
    assert all(len(work.nodes) <= 5 for (work,) in rim.target.batches)  # none beyond the end


def test_a_full_context_ends_the_generation() -> None:
    limits = replace(ENDLESS, context_tokens=9)
    rim, text = running(rim=Rim(limits, target=SimulatedTarget(limits)))
    rim.run()
    rim.hear(1, Propose(1, 6, 1, (*text[6:9], 1, 1, 1, 1)))
    rim.run()
    assert rim.take(1)[-2:] == [
        Commit(epoch=1, node=3, tokens=(), length=9),
        Finish(FinishReason.CONTEXT),
    ]


def test_choices_logprobs_and_timings_are_told_when_wanted() -> None:
    wants = Wants(choices=True, logprobs=True, timings=True)
    rim, text = running(replace(TERMS, wants=wants, max_length=9))
    rim.run()
    assert commits(rim)[0].choices == ()  # no node stands at the log's end
    rim.now_s += 0.5
    rim.hear(1, Propose(4, 6, 1, (text[6], wrong(text[6]), text[7], text[8]), (0, 0, 1, 3)))
    rim.now_s += 0.004
    rim.run()
    commit = commits(rim)[0]
    row = rim.target.logits
    beside = rim.target.alone([*text[:6], wrong(text[6])]).tokens[0]
    assert dict(commit.choices or ()) == {
        0: text[6],
        1: text[7],
        2: beside,
        3: text[8],
        4: text[9],
    }
    expected = [log_probability(row(text[:at]), text[at]) for at in (6, 7, 8)]
    assert commit.logprobs == pytest.approx(expected)
    assert commit.timings is not None
    assert commit.timings.queue_ms == pytest.approx(4.0)
    assert commit.timings.forward_ms == pytest.approx(10.0)


def test_choices_are_told_for_nodes_at_the_end_of_the_log_alone() -> None:
    rim, text = running(replace(TERMS, wants=Wants(choices=True)))
    rim.run()
    rim.hear(1, Propose(1, 6, 1, tuple(text[6:8])))
    rim.run()
    rim.hear(1, Propose(1, 0, 3, (text[8], text[9], wrong(text[10]))))
    rim.run()
    rim.hear(1, Propose(2, 11, 1, ()))
    rim.run()
    assert [dict(commit.choices or ()) for commit in commits(rim)] == [
        {},
        {0: text[6], 1: text[7], 2: text[8]},
        {3: text[9], 4: text[10], 5: rim.target.alone([*text[:10], wrong(text[10])]).tokens[0]},
        {},
    ]


@pytest.mark.parametrize("word", [Cancel(), opening(TERMS, PROMPT), None])
def test_a_verdict_for_a_generation_that_has_ended_is_dropped(word: DeviceWord | None) -> None:
    rim, text = running()
    rim.run()
    rim.hear(1, Propose(1, 6, 1, tuple(text[6:9])))
    plan = rim.verifier.plan(rim.now_s)
    assert plan is not None
    verdicts = rim.target.forward(plan.works)
    if word is None:
        rim.verifier.disconnect(1, rim.now_s)
        rim.connect(1)
    else:
        rim.hear(1, word)
    applied = rim.verifier.apply(plan, verdicts, 0.01, rim.now_s)
    assert applied.says == ()
    rim.hear(1, opening(TERMS, text[:5]))
    rim.run()
    assert commits(rim)[-1] == Commit(epoch=0, node=0, tokens=(text[5],), length=6)


def test_choices_of_an_epoch_that_was_replaced_during_the_forward_are_not_told() -> None:
    rim, text = running(replace(TERMS, wants=Wants(choices=True)))
    rim.run()
    rim.hear(1, Propose(1, 6, 1, tuple(text[6:8])))
    plan = rim.verifier.plan(rim.now_s)
    assert plan is not None
    rim.hear(1, Propose(2, 6, 1, (text[6],)))
    verdicts = rim.target.forward(plan.works)
    applied = rim.verifier.apply(plan, verdicts, 0.01, rim.now_s)
    expected = Commit(epoch=2, node=1, tokens=tuple(text[7:9]), length=9, choices=())
    assert [say.word for say in applied.says] == [expected]
