"""How a generation comes to start: the log is declared, filled and checked."""

from dataclasses import replace

import pytest

from outrider_cloud.errors import PeerCode, PeerError
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
    Open,
    Opened,
    Propose,
)
from tests.simulators.rim import Rim, opening
from tests.simulators.target import SMALL

TERMS = Open(session=b"s" * 16, keep=0, length=0, digest=b"", max_length=60)
PROMPT = [3, 1, 4, 1, 5]


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
    rim.begin(1, TERMS, PROMPT)
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
    rim.begin(1, TERMS, PROMPT)
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
    rim.begin(1, TERMS, PROMPT)
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
    rim.begin(1, TERMS, PROMPT)
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
    rim.begin(1, TERMS, PROMPT)
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
    rim.begin(1, TERMS, PROMPT)
    rim.take(1)
    other = [9, *PROMPT[1:]]
    text = rim.target.alone(other).tokens
    rim.hear(1, opening(TERMS, other), Propose(1, 5, 1, text[:2]), Append(0, tuple(other)))
    rim.run()
    assert rim.take(1)[-1] == Commit(epoch=1, node=2, tokens=(text[2],), length=8)


def test_proposals_are_not_compared_with_a_log_that_may_yet_turn_out_to_differ() -> None:
    rim = Rim()
    rim.connect(1)
    rim.begin(1, TERMS, PROMPT)
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
    rim.begin(1, replace(TERMS, max_length=5), PROMPT)
    assert rim.take(1) == [Opened(0), Finish(FinishReason.LENGTH)]
    assert not rim.turn()
