"""How a generation comes to start: the log is declared, filled, checked, and whose it is."""

from dataclasses import replace

import pytest

from outrider_cloud.errors import BusyError, ConfigError, PeerCode, PeerError
from outrider_cloud.verifier import VerifierSettings
from outrider_protos.loghash import LogHash
from outrider_protos.words import (
    Ack,
    Append,
    Cancel,
    Close,
    Commit,
    DeviceWord,
    Finish,
    FinishReason,
    GoAway,
    Open,
    Opened,
    Propose,
)
from tests.simulators.rim import Rim, opening
from tests.simulators.target import SMALL

TERMS = Open(session=b"s" * 16, keep=0, length=0, digest=b"", max_length=60)
PROMPT = [3, 1, 4, 1, 5]


def start(rim: Rim, stream: int, terms: Open = TERMS, log: list[int] = PROMPT) -> None:
    """Open an unknown session, and send its log."""
    rim.hear(stream, opening(terms, log), Append(0, tuple(log)))


def refuse(rim: Rim, *words: DeviceWord) -> PeerError:
    with pytest.raises(PeerError) as caught:
        rim.hear(1, *words)
    return caught.value


def test_an_unknown_session_has_nothing_and_starts_once_the_log_is_there() -> None:
    rim = Rim()
    rim.connect(1)
    rim.hear(1, opening(TERMS, PROMPT))
    assert rim.take(1) == [Opened(0)]
    rim.hear(1, Append(0, (3, 1)))
    assert not rim.turn()
    rim.hear(1, Append(2, (4, 1, 5)))
    assert rim.turn()
    first = rim.target.alone(PROMPT).tokens[0]
    assert rim.take(1) == [Commit(epoch=0, node=0, tokens=(first,), length=6)]


def test_a_known_log_starts_at_once_and_feeds_only_what_has_no_kv() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1)
    rim.run()
    log = [*PROMPT, rim.target.alone(PROMPT).tokens[0]]
    rim.take(1)
    rim.hear(1, opening(TERMS, log))
    assert rim.take(1) == [Opened(6)]
    rim.run()
    assert rim.target.batches[-1][0].past == 5
    assert rim.target.batches[-1][0].prefix == (log[-1],)


def test_open_cuts_the_log_at_keep() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1)
    rim.run()
    rim.take(1)
    other = [*PROMPT[:2], 7, 7]
    rim.hear(1, opening(TERMS, other, keep=2))
    assert rim.take(1) == [Opened(2)]
    rim.hear(1, Append(2, (7, 7)))
    rim.run()
    expected = rim.target.alone(other).tokens[0]
    assert rim.take(1) == [Commit(epoch=0, node=0, tokens=(expected,), length=5)]


def test_a_log_that_differs_at_once_is_sent_again_from_nothing() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1)
    rim.take(1)
    other = [9, *PROMPT[1:]]
    rim.hear(1, opening(TERMS, other))
    assert rim.take(1) == [Opened(0)]
    rim.hear(1, Append(0, tuple(other)))
    rim.run()
    assert rim.take(1)[0] == Commit(
        epoch=0, node=0, tokens=rim.target.alone(other).tokens[:1], length=6
    )


def test_a_log_that_turns_out_to_differ_is_asked_for_again() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1)
    rim.take(1)
    other = [9, *PROMPT[1:], 2]
    rim.hear(1, opening(TERMS, other, keep=5), Append(5, (2,)))
    assert rim.take(1) == [Opened(5), Opened(0)]
    rim.hear(1, Append(0, tuple(other)))
    rim.run()
    assert rim.take(1)[0] == Commit(
        epoch=0, node=0, tokens=rim.target.alone(other).tokens[:1], length=7
    )


def test_a_whole_log_that_differs_from_its_digest_is_an_error() -> None:
    rim = Rim()
    rim.connect(1)
    word = replace(opening(TERMS, PROMPT), digest=LogHash([1]).digest())
    error = refuse(rim, word, Append(0, tuple(PROMPT)))
    assert error.code is PeerCode.LOG_DIFFERS


def test_a_log_sent_again_that_still_differs_is_an_error() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1)
    word = replace(opening(TERMS, PROMPT), digest=LogHash([1]).digest())
    rim.hear(1, word)
    error = refuse(rim, Append(0, tuple(PROMPT)))
    assert error.code is PeerCode.LOG_DIFFERS


def test_append_beyond_a_gap_is_ignored_and_what_is_there_is_not_doubled() -> None:
    rim = Rim()
    rim.connect(1)
    rim.hear(1, opening(TERMS, PROMPT), Append(3, (1, 5)), Append(0, (3, 1, 4)))
    assert not rim.turn()
    rim.hear(1, Append(1, (1, 4, 1, 5)))
    rim.run()
    assert rim.take(1)[-1] == Commit(
        epoch=0, node=0, tokens=rim.target.alone(PROMPT).tokens[:1], length=6
    )


@pytest.mark.parametrize(
    "word",
    [
        Append(0, (*PROMPT, 1)),
        Append(0, (3, 12)),
        Propose(1, 5, 1, (12,)),
        Propose(1, 6, 1, (1,)),
        Propose(1, 6, 1, ()),
        Propose(0, 5, 1, (1,)),
        Propose(1, 0, 1, (1,)),
        Propose(1, 5, 2, (1,)),
        Ack(6),
    ],
)
def test_what_cannot_be_while_the_log_is_filled_is_an_error(word: DeviceWord) -> None:
    rim = Rim()
    rim.connect(1)
    rim.hear(1, opening(TERMS, PROMPT))
    assert refuse(rim, word).code in (PeerCode.OUT_OF_ORDER, PeerCode.OUT_OF_RANGE)


def test_a_prompt_that_fills_the_context_is_told_both_numbers() -> None:
    rim = Rim()
    rim.connect(1)
    error = refuse(rim, opening(replace(TERMS, max_length=99), [1] * 96))
    assert error.text == "the prompt has 96 tokens, the target's context holds 96"
    assert error.code is PeerCode.TOO_LARGE


def test_a_prompt_that_fills_the_whole_pool_is_refused() -> None:
    rim = Rim(replace(SMALL, pages=3))
    rim.connect(1)
    rim.hear(1, opening(TERMS, [1] * 11))
    error = refuse(rim, opening(TERMS, [1] * 12))
    assert error.text == "the prompt has 12 tokens, the target's context holds 12"


def test_a_stop_id_outside_the_vocabulary_is_an_error() -> None:
    rim = Rim()
    rim.connect(1)
    error = refuse(rim, opening(replace(TERMS, stop_ids=(4, 12)), PROMPT))
    assert error.code is PeerCode.OUT_OF_RANGE


@pytest.mark.parametrize("word", [Append(0, (1,)), Ack(1), Cancel(), Close()])
def test_the_first_word_must_be_open(word: DeviceWord) -> None:
    rim = Rim()
    rim.connect(1)
    assert refuse(rim, word).code is PeerCode.OUT_OF_ORDER


def test_proposals_that_come_before_the_log_are_judged_with_the_first_forward() -> None:
    rim = Rim()
    rim.connect(1)
    text = rim.target.alone(PROMPT).tokens
    rim.hear(1, opening(TERMS, PROMPT), Propose(1, 5, 1, text[:3]), Append(0, tuple(PROMPT)))
    assert rim.run() == 1
    assert rim.take(1)[-1] == Commit(epoch=1, node=3, tokens=(text[3],), length=9)


def test_proposals_outlive_a_log_that_is_sent_again() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1)
    rim.take(1)
    other = [9, *PROMPT[1:]]
    text = rim.target.alone(other).tokens
    rim.hear(1, opening(TERMS, other), Propose(1, 5, 1, text[:2]), Append(0, tuple(other)))
    rim.run()
    assert rim.take(1)[-1] == Commit(epoch=1, node=2, tokens=(text[2],), length=8)


def test_proposals_are_not_compared_with_a_log_that_may_yet_turn_out_to_differ() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1)
    rim.take(1)
    other = [3, 1, 4, 9, 9, 2]
    text = rim.target.alone(other).tokens
    rim.hear(1, opening(TERMS, other, keep=5), Propose(1, 3, 1, (9, 9, 2, text[0])))
    rim.hear(1, Append(5, (2,)), Append(0, tuple(other)))
    rim.run()
    assert rim.take(1)[-1] == Commit(epoch=1, node=4, tokens=(text[1],), length=8)


def test_a_log_at_its_limit_is_finished_at_once() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1, replace(TERMS, max_length=5))
    assert rim.take(1) == [Opened(0), Finish(FinishReason.LENGTH)]
    assert not rim.turn()


def test_the_newest_stream_of_an_owner_wins_a_session() -> None:
    rim = Rim()
    rim.connect(1)
    rim.connect(2)
    start(rim, 1, replace(TERMS, patience_ms=0.0, run_ahead=4))
    rim.turn()
    log = [*PROMPT, *rim.target.alone(PROMPT).tokens[:1]]
    rim.take(1)
    rim.hear(2, opening(TERMS, log))
    assert rim.take(1) == [Finish(FinishReason.SUPERSEDED)]
    assert rim.take(2) == [Opened(6)]
    rim.hear(1, Ack(400), Cancel(), Close(), opening(TERMS, PROMPT))
    rim.verifier.disconnect(1, rim.now_s)
    rim.run()
    assert rim.take(1) == []
    assert [type(word) for word in rim.take(2)] == [Commit]


def test_no_owner_reaches_the_session_of_another() -> None:
    rim = Rim()
    rim.connect(1, "anna")
    rim.connect(2, "bert")
    start(rim, 1)
    rim.hear(2, opening(TERMS, PROMPT))
    assert rim.take(2) == [Opened(0)]
    assert rim.take(1) == [Opened(0)]
    rim.hear(2, Close())
    rim.hear(1, opening(TERMS, PROMPT))
    assert rim.take(1) == [Opened(5)]


def test_a_stream_may_turn_to_another_session_and_the_first_one_waits() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1)
    start(rim, 1, replace(TERMS, session=b"t" * 16), [2, 2])
    assert rim.run() == 1
    rim.take(1)
    rim.hear(1, opening(TERMS, PROMPT))
    assert rim.take(1) == [Opened(5)]


def test_a_disconnected_session_rests_until_it_is_opened_again() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1, replace(TERMS, patience_ms=0.0, run_ahead=9))
    rim.turn()
    rim.verifier.disconnect(1, rim.now_s)
    assert not rim.turn()
    assert rim.verifier.wake_at_s() is None
    rim.connect(2)
    rim.hear(2, opening(TERMS, [*PROMPT, *rim.target.alone(PROMPT).tokens[:1]]))
    assert rim.take(2) == [Opened(6)]


def test_close_forgets_the_log_and_frees_its_kv() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1)
    rim.run()
    assert rim.target.held == {1: 5}
    rim.hear(1, Close())
    rim.hear(1, Ack(6))
    rim.run()
    assert rim.target.held == {}
    rim.take(1)
    rim.hear(1, opening(TERMS, PROMPT))
    assert rim.take(1) == [Opened(0)]


def test_cancel_ends_the_generation_and_keeps_the_session() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1, replace(TERMS, patience_ms=0.0, run_ahead=9))
    rim.take(1)
    rim.hear(1, Cancel(), Cancel())
    assert rim.take(1) == [Finish(FinishReason.CANCELLED)]
    assert not rim.turn()
    rim.hear(1, opening(TERMS, PROMPT))
    assert rim.take(1) == [Opened(5)]


def test_words_that_come_after_the_end_are_ignored() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1, replace(TERMS, max_length=6))
    rim.run()
    assert rim.take(1)[-1] == Finish(FinishReason.LENGTH)
    rim.hear(1, Propose(9, 70, 4, (99,)), Ack(80), Cancel(), Append(0, (99,)))
    assert rim.take(1) == []
    assert not rim.turn()


def test_draining_sends_everybody_away_and_keeps_sending() -> None:
    rim = Rim(settings=VerifierSettings(go_away_ms=250))
    rim.connect(1)
    rim.connect(2)
    start(rim, 1, replace(TERMS, patience_ms=0.0, run_ahead=9))
    rim.take(1)
    told = {(say.stream, say.word) for say in rim.verifier.drain()}
    assert told == {(1, GoAway(250)), (2, GoAway(250))}
    assert not rim.turn()
    rim.hear(1, Ack(5), Propose(1, 5, 1, (1,)))
    assert rim.take(1) == []
    rim.hear(2, opening(TERMS, PROMPT), Append(0, tuple(PROMPT)))
    assert rim.take(2) == [GoAway(250)]


def test_a_failed_forward_sends_its_sessions_away_without_their_kv() -> None:
    rim = Rim()
    rim.connect(1)
    start(rim, 1, replace(TERMS, patience_ms=0.0, run_ahead=9))
    rim.turn()
    rim.target.failing = True
    rim.take(1)
    rim.turn()
    assert rim.take(1) == [GoAway(1000)]
    rim.run()
    assert rim.target.held == {}
    log = [*PROMPT, *rim.target.alone(PROMPT).tokens[:1]]
    rim.hear(1, opening(TERMS, log))
    rim.turn()
    assert rim.take(1) == [
        Opened(6),
        Commit(epoch=0, node=0, tokens=rim.target.alone(log).tokens[:1], length=7),
    ]


def test_streams_are_bounded() -> None:
    rim = Rim(settings=VerifierSettings(max_streams=2, go_away_ms=7))
    rim.connect(1)
    rim.connect(2)
    with pytest.raises(BusyError) as caught:
        rim.connect(3)
    assert caught.value.retry_after_ms == 7
    rim.verifier.disconnect(1, rim.now_s)
    rim.connect(3)


def session(number: int) -> Open:
    return replace(TERMS, session=bytes([number] * 16))


def test_the_least_recently_used_session_without_a_stream_is_forgotten() -> None:
    rim = Rim(settings=VerifierSettings(max_sessions=3))
    for number in (1, 2, 3):
        rim.connect(number)
        start(rim, number, session(number))
    rim.run()
    rim.verifier.disconnect(3, rim.now_s)
    rim.verifier.disconnect(2, rim.now_s)
    rim.connect(4)
    start(rim, 4, session(4))
    rim.run()
    assert rim.verifier.counters.forgotten == 1
    assert set(rim.target.held) == {1, 2, 4}
    rim.connect(5)
    rim.hear(5, opening(session(2), PROMPT))
    assert rim.take(5) == [Opened(5)]


def test_a_session_too_many_is_sent_away_until_one_is_free() -> None:
    rim = Rim(settings=VerifierSettings(max_sessions=2))
    for number in (1, 2, 3):
        rim.connect(number)
        start(rim, number, session(number))
    assert rim.take(3) == [GoAway(1000)]
    rim.verifier.disconnect(1, rim.now_s)
    start(rim, 3, session(3))
    assert rim.take(3) == [Opened(0)]


def test_an_owner_with_too_many_sessions_costs_nobody_else_one() -> None:
    rim = Rim(settings=VerifierSettings(max_sessions_per_owner=2))
    rim.connect(9, "bert")
    start(rim, 9)
    rim.verifier.disconnect(9, rim.now_s)
    for number in (1, 2, 3):
        rim.connect(number)
        start(rim, number, session(number))
        if number == 1:
            rim.verifier.disconnect(1, rim.now_s)
    assert rim.take(3) == [Opened(0)]
    rim.connect(4)
    start(rim, 4, session(4))
    assert rim.take(4) == [GoAway(1000)]
    rim.connect(10, "bert")
    rim.hear(10, opening(TERMS, PROMPT))
    assert rim.take(10) == [Opened(5)]


@pytest.mark.parametrize("name", ["max_sessions", "max_streams", "forward_tokens", "judge_nodes"])
def test_bounds_that_let_nothing_happen_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        VerifierSettings(**{name: 0})
