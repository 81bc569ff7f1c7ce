"""KV is bounded: who is put out for whom, and that nobody is lost by it."""

from dataclasses import replace

from outrider_cloud.verifier import VerifierSettings
from outrider_protos.words import Append, Commit, Finish, FinishReason, Open, Propose
from tests.simulators.rim import Rim, opening
from tests.simulators.target import SMALL

TERMS = Open(session=bytes(16), keep=0, length=0, digest=b"", max_length=90)
EAGER = replace(TERMS, patience_ms=0.0, run_ahead=4096)


def pool(pages: int) -> Rim:
    limits = replace(SMALL, pages=pages, page_tokens=4, end_ids=frozenset())
    return Rim(limits, VerifierSettings(forward_tokens=16))


def last_commit(rim: Rim, stream: int) -> Commit:
    return [word for word in rim.take(stream) if isinstance(word, Commit)][-1]


def test_the_least_recently_fed_idle_session_loses_its_kv() -> None:
    rim = pool(6)
    for stream in (1, 2, 3):
        rim.join(stream, TERMS, [stream] * 7)
        rim.run()
    for length in (8, 9):
        rim.hear(1, Propose(1, length, 1, ()))  # feeds the first again, up to a third page
        rim.run()
    assert set(rim.target.held) == {1, 3}
    assert rim.verifier.counters.evictions == 1
    rim.join(4, TERMS, [4] * 7)
    rim.run()
    assert set(rim.target.held) == {1, 4}


def test_a_session_that_lost_its_kv_goes_on_where_it_was() -> None:
    rim = pool(6)
    for stream in (1, 2):
        rim.join(stream, TERMS, [stream] * 14)
        rim.run()
    assert set(rim.target.held) == {2}
    alone = rim.target.alone([1] * 14, max_length=30).tokens
    rim.hear(1, Propose(1, 15, 1, alone[1:4]))
    assert rim.run() == 2  # 15 tokens again, then none is left for the nodes in 16 rows
    assert last_commit(rim, 1).length == 19


def test_with_infinite_patience_lost_kv_is_not_rebuilt_before_something_is_wanted() -> None:
    rim = pool(6)
    for stream in (1, 2):
        rim.join(stream, TERMS, [stream] * 14)
        rim.run()
    rim.now_s += 1e6
    assert rim.run() == 0


def test_sessions_that_do_not_fit_together_run_one_after_the_other() -> None:
    rim = pool(8)
    terms = replace(EAGER, max_length=26)
    for stream in (1, 2, 3):
        rim.join(stream, terms, [stream] * 16)
    rim.run()
    for stream in (1, 2, 3):
        told = rim.take(stream)
        assert told[-1] == Finish(FinishReason.LENGTH)
        tokens = tuple(t for word in told[:-1] if isinstance(word, Commit) for t in word.tokens)
        assert tokens == rim.target.alone([stream] * 16, max_length=26).tokens


def test_the_younger_generation_makes_room_when_both_have_outgrown_the_pool() -> None:
    rim = pool(8)
    terms = replace(EAGER, max_length=31)
    for stream in (1, 2):
        rim.join(stream, terms, [stream] * 8)
    rim.run()
    assert rim.verifier.counters.evictions > 0
    for stream in (1, 2):
        assert rim.take(stream)[-1] == Finish(FinishReason.LENGTH)
    ends = [batch[0].session for batch in rim.target.batches]
    assert ends.index(2, len(ends) - 8) > 0
    assert rim.target.batches[-1][0].session == 2


def test_a_session_that_fills_the_whole_pool_ends_with_its_context() -> None:
    rim = pool(4)
    rim.join(1, EAGER, [1] * 5)
    rim.run()
    told = rim.take(1)
    assert told[-1] == Finish(FinishReason.CONTEXT)
    assert isinstance(told[-2], Commit)
    assert told[-2].length == 16


def test_nodes_never_outgrow_the_pool() -> None:
    rim = pool(4)
    rim.join(1, TERMS, [1] * 13)
    rim.run()
    alone = rim.target.alone([1] * 13, max_length=16).tokens
    rim.hear(1, Propose(1, 14, 1, (*alone[1:], 1, 2, 3, 4, 5), (0, 1, 0, 0, 0, 0, 0)))
    assert rim.run() == 1
    assert last_commit(rim, 1).length == 16


def test_a_session_whose_log_was_cut_still_holds_its_pages_until_it_is_fed() -> None:
    rim = pool(8)
    rim.join(1, TERMS, [1] * 15)
    rim.run()
    rim.hear(1, opening(replace(TERMS, session=bytes([1] * 16)), [1] * 30, keep=2))
    rim.join(2, TERMS, [2] * 15)
    rim.run()
    assert set(rim.target.held) == {1, 2}
    assert rim.verifier.counters.evictions == 0


def test_pages_are_not_promised_twice_whatever_order_the_engine_works_in() -> None:
    rim = pool(8)
    for stream, length in ((1, 15), (2, 13)):
        rim.join(stream, TERMS, [stream] * length)
        rim.run()
    rim.hear(1, opening(replace(TERMS, session=bytes([1] * 16)), [1] * 2))
    rim.hear(2, opening(replace(TERMS, session=bytes([2] * 16)), [2] * 17, keep=13))
    rim.hear(2, Append(13, (2,) * 4))
    assert rim.run() == 2
    assert rim.target.held == {1: 2, 2: 17}


def test_nodes_that_fell_leave_their_pages_to_others() -> None:
    rim = pool(8)
    rim.join(1, TERMS, [1] * 7)
    rim.run()
    rim.hear(1, Propose(1, 8, 1, (3,) * 12, (0,) * 6 + (1,) * 6))
    rim.hear(1, Propose(1, 0, 13, (4, 5, 6, 7, 8), (0,) * 5))
    rim.run()
    rim.join(2, TERMS, [2] * 20)
    rim.run()
    assert set(rim.target.held) == {1, 2}
    assert rim.verifier.counters.evictions == 0


def test_pages_that_hold_nothing_any_more_are_taken_from_a_younger_generation() -> None:
    rim = pool(8)
    rim.join(2, TERMS, [2] * 15)
    rim.run()
    rim.join(1, replace(EAGER, max_length=20), [1] * 13)
    other = opening(replace(TERMS, session=bytes([2] * 16), max_length=31), [3] * 30, keep=0)
    rim.hear(2, other, Append(0, (3,) * 30))
    rim.run()
    assert rim.take(1)[-1] == Finish(FinishReason.LENGTH)
    assert last_commit(rim, 2).length == 31


def test_the_kv_of_a_forgotten_session_is_released_before_the_next_forward() -> None:
    limits = replace(SMALL, end_ids=frozenset())
    rim = Rim(limits, VerifierSettings(max_sessions=1))
    rim.join(1, TERMS, [1] * 5)
    rim.run()
    rim.verifier.disconnect(1, rim.now_s)
    rim.join(2, TERMS, [2] * 5)
    rim.run()
    assert rim.target.held == {2: 5}
