"""From traces to records, when some are missing, late, or too many."""

from dataclasses import replace

from outrider_cloud.records.assembly import MOST_TOKENS, SILENCE_S, Assembly
from outrider_cloud.records.record import Fate, Versions
from outrider_cloud.trace import Opening, Trace
from outrider_protos.words import Provenance, Sampling
from tests.cloud.records.samples import tops

OPENING = Opening(
    owner="anna",
    prompt=(1, 2, 3),
    sampling=Sampling(),
    rollback=None,
    provenance=Provenance(),
)


def trace(at: int, count: int = 2, *, generation: int = 1, ended: bool = False) -> Trace:
    """The tokens are their own positions."""
    tokens = tuple(range(at, at + count))
    return Trace(
        generation=generation,
        session=1,
        opening=OPENING if at == 3 else None,
        at=at,
        rows=tuple(range(count)),
        tokens=tokens,
        choices=tokens,
        fates=(Fate.OWN,) * count,
        ended=ended,
    )


def assembly() -> Assembly:
    return Assembly(Versions(target="tiny", tokenizer=bytes(16), runtime="none"))


def test_turns_join_until_the_answer_ends() -> None:
    gathering = assembly()
    parts = [tops(2, seed=1), tops(2, seed=2)]
    assert gathering.take(trace(3), parts[0], 7.0) is None
    record = gathering.take(trace(5, ended=True), parts[1], 8.0)
    assert record is not None
    assert (record.prompt, record.tokens, record.time_s) == ((1, 2, 3), (3, 4, 5, 6), 7.0)
    assert [list(row) for row in record.tops.tokens] == [
        list(row) for part in parts for row in part.tokens
    ]
    assert gathering.rest() == []


def test_what_follows_a_gap_is_left_out_and_counted() -> None:
    gathering = assembly()
    gathering.take(trace(3), tops(2), 7.0)
    record = gathering.take(trace(6), tops(2), 8.0)
    assert record is not None
    assert record.tokens == (3, 4)
    assert gathering.take(trace(8, ended=True), tops(2), 9.0) is None
    assert gathering.left_out == 4


def test_generations_do_not_mix() -> None:
    gathering = assembly()
    gathering.take(trace(3), tops(2), 7.0)
    gathering.take(trace(3, generation=2), tops(2), 7.0)
    assert gathering.take(trace(5, ended=True), tops(2), 8.0) is not None
    assert [record.tokens for record in gathering.rest()] == [(3, 4)]


def test_silence_ends_an_answer() -> None:
    gathering = assembly()
    gathering.take(trace(3), tops(2), 7.0)
    gathering.take(trace(5), tops(2), 50.0)
    assert gathering.silent(50.0 + SILENCE_S - 1) == []
    assert [record.tokens for record in gathering.silent(50.0 + SILENCE_S)] == [(3, 4, 5, 6)]


def test_a_long_answer_goes_on_in_another_record() -> None:
    gathering = assembly()
    half = MOST_TOKENS // 2
    gathering.take(trace(3, half), tops(half), 7.0)
    first = gathering.take(trace(3 + half, half), tops(half), 8.0)
    second = gathering.take(trace(3 + 2 * half, ended=True), tops(2), 9.0)
    assert first is not None
    assert second is not None
    assert second.prompt == first.prompt + first.tokens
    assert second.tokens == (3 + 2 * half, 4 + 2 * half)


def test_an_opening_again_is_a_new_answer() -> None:
    gathering = assembly()
    gathering.take(trace(3), tops(2), 7.0)
    gathering.take(replace(trace(3, generation=2), opening=OPENING), tops(2), 8.0)
    assert len(gathering.rest()) == 2
