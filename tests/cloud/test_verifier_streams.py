"""Streams and their sessions: whose they are, how they part, how many there may be."""

from dataclasses import replace

import pytest

from outrider_cloud.errors import BusyError, ConfigError
from outrider_cloud.verifier import VerifierSettings
from outrider_protos.words import (
    Ack,
    Append,
    Cancel,
    Close,
    Commit,
    Finish,
    FinishReason,
    GoAway,
    Open,
    Opened,
    Propose,
)
from tests.simulators.rim import Rim, opening

TERMS = Open(session=b"s" * 16, keep=0, length=0, digest=b"", max_length=60)
PROMPT = [3, 1, 4, 1, 5]


def test_the_newest_stream_of_an_owner_wins_a_session() -> None:
    rim = Rim()
    rim.connect(1)
    rim.connect(2)
    rim.begin(1, replace(TERMS, patience_ms=0.0, run_ahead=4), PROMPT)
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
    rim.begin(1, TERMS, PROMPT)
    rim.hear(2, opening(TERMS, PROMPT))
    assert rim.take(2) == [Opened(0)]
    assert rim.take(1) == [Opened(0)]
    rim.hear(2, Close())
    rim.hear(1, opening(TERMS, PROMPT))
    assert rim.take(1) == [Opened(5)]


def test_a_stream_may_turn_to_another_session_and_the_first_one_waits() -> None:
    rim = Rim()
    rim.connect(1)
    rim.begin(1, TERMS, PROMPT)
    rim.begin(1, replace(TERMS, session=b"t" * 16), [2, 2])
    assert rim.run() == 1
    rim.take(1)
    rim.hear(1, opening(TERMS, PROMPT))
    assert rim.take(1) == [Opened(5)]


def test_a_disconnected_session_rests_until_it_is_opened_again() -> None:
    rim = Rim()
    rim.connect(1)
    rim.begin(1, replace(TERMS, patience_ms=0.0, run_ahead=9), PROMPT)
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
    rim.begin(1, TERMS, PROMPT)
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
    rim.begin(1, replace(TERMS, patience_ms=0.0, run_ahead=9), PROMPT)
    rim.take(1)
    rim.hear(1, Cancel(), Cancel())
    assert rim.take(1) == [Finish(FinishReason.CANCELLED)]
    assert not rim.turn()
    rim.hear(1, opening(TERMS, PROMPT))
    assert rim.take(1) == [Opened(5)]


def test_words_that_come_after_the_end_are_ignored() -> None:
    rim = Rim()
    rim.connect(1)
    rim.begin(1, replace(TERMS, max_length=6), PROMPT)
    rim.run()
    assert rim.take(1)[-1] == Finish(FinishReason.LENGTH)
    rim.hear(1, Propose(9, 70, 4, (99,)), Ack(80), Cancel(), Append(0, (99,)))
    assert rim.take(1) == []
    assert not rim.turn()


def test_draining_lets_answers_end_and_sends_everybody_else_away() -> None:
    rim = Rim(settings=VerifierSettings(go_away_ms=250))
    rim.join(1, replace(TERMS, patience_ms=0.0, run_ahead=9), PROMPT)
    rim.connect(2)
    rim.join(3, replace(TERMS, max_length=6), PROMPT)
    rim.run()
    rim.take(1)
    told = {(say.stream, say.word) for say in rim.verifier.drain(at_once=False)}
    assert told == {(2, GoAway(250)), (3, GoAway(250))}
    rim.hear(1, Ack(14))
    assert rim.turn()
    assert isinstance(rim.take(1)[0], Commit)


def test_draining_at_once_sends_everybody_away_and_keeps_sending() -> None:
    rim = Rim(settings=VerifierSettings(go_away_ms=250))
    rim.connect(1)
    rim.connect(2)
    rim.begin(1, replace(TERMS, patience_ms=0.0, run_ahead=9), PROMPT)
    rim.take(1)
    told = {(say.stream, say.word) for say in rim.verifier.drain(at_once=True)}
    assert told == {(1, GoAway(250)), (2, GoAway(250))}
    assert not rim.turn()
    rim.hear(1, Ack(5), Propose(1, 5, 1, (1,)))
    assert rim.take(1) == []
    rim.hear(2, opening(TERMS, PROMPT), Append(0, tuple(PROMPT)))
    assert rim.take(2) == [GoAway(250)]


def test_a_failed_forward_sends_its_sessions_away_without_their_kv() -> None:
    rim = Rim()
    rim.connect(1)
    rim.begin(1, replace(TERMS, patience_ms=0.0, run_ahead=9), PROMPT)
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
        rim.begin(number, session(number), PROMPT)
    rim.run()
    rim.verifier.disconnect(3, rim.now_s)
    rim.verifier.disconnect(2, rim.now_s)
    rim.connect(4)
    rim.begin(4, session(4), PROMPT)
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
        rim.begin(number, session(number), PROMPT)
    assert rim.take(3) == [GoAway(1000)]
    rim.verifier.disconnect(1, rim.now_s)
    rim.begin(3, session(3), PROMPT)
    assert rim.take(3) == [Opened(0)]


def test_an_owner_with_too_many_sessions_costs_nobody_else_one() -> None:
    rim = Rim(settings=VerifierSettings(max_sessions_per_owner=2))
    rim.connect(9, "bert")
    rim.begin(9, TERMS, PROMPT)
    rim.verifier.disconnect(9, rim.now_s)
    for number in (1, 2, 3):
        rim.connect(number)
        rim.begin(number, session(number), PROMPT)
        if number == 1:
            rim.verifier.disconnect(1, rim.now_s)
    assert rim.take(3) == [Opened(0)]
    rim.connect(4)
    rim.begin(4, session(4), PROMPT)
    assert rim.take(4) == [GoAway(1000)]
    rim.connect(10, "bert")
    rim.hear(10, opening(TERMS, PROMPT))
    assert rim.take(10) == [Opened(5)]


@pytest.mark.parametrize("name", ["max_sessions", "max_streams", "forward_tokens", "judge_nodes"])
def test_bounds_that_let_nothing_happen_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        VerifierSettings(**{name: 0})
