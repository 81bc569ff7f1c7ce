"""What is learnt from and what is kept back: by time, by domain, never the same prompt."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import Store
from outrider_training.corpus import Corpus, read_corpus
from outrider_training.errors import NothingToLearnError
from tests.cloud.records.samples import record

TOKENIZER = record().versions.tokenizer


def at(time_s: float, prompt: int, domain: str | None = "sql") -> Record:
    return replace(record(), time_s=time_s, prompt=(1, prompt), domain=domain)


def written(store: Store, records: Sequence[Record]) -> None:
    store.write("anna", records)


kinds = st.tuples(st.floats(0, 100), st.integers(0, 8), st.sampled_from(["sql", "python", None]))


@given(st.lists(kinds, min_size=1, max_size=40), st.floats(0, 0.9))
def test_a_split_is_by_time_and_shares_no_prompt(
    found: list[tuple[float, int, str | None]], share: float
) -> None:
    split = Corpus([at(*kind) for kind in found]).split(share)
    for domain in ("sql", "python", None):
        older = [r.time_s for r in split.training if r.domain == domain]
        newer = [r.time_s for r in split.held_out if r.domain == domain]
        assert not older or not newer or max(older) <= min(newer)
        count = sum(kind[2] == domain for kind in found)
        assert len(older) == count - round(share * count)
    prompts = {r.prompt for r in split.training}
    assert prompts.isdisjoint(r.prompt for r in split.held_out)
    assert [r.time_s for r in split.training] == sorted(r.time_s for r in split.training)


def test_records_of_another_tokenizer_are_never_mixed_in(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    strange = replace(record(), versions=replace(record().versions, tokenizer=b"x" * 16))
    written(store, [record(), strange, record()])
    corpus = read_corpus(store, TOKENIZER, most_tokens=1000)
    assert (len(corpus.records), corpus.other_tokenizer) == (2, 1)
    assert all(each.versions.tokenizer == TOKENIZER for each in corpus.records)


def test_a_damaged_shard_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    written(store, [record()])
    broken = tmp_path / "tenant=anna" / "99999999999999-broken.parquet"
    broken.write_bytes(b"PAR1 no more")
    corpus = read_corpus(store, TOKENIZER, most_tokens=1000)
    assert len(corpus.records) == 1
    assert corpus.damaged == ["99999999999999-broken.parquet is damaged"]


def test_of_too_many_the_newest_are_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for time_s in (10.0, 30.0, 20.0):
        written(store, [at(time_s, int(time_s))])
    corpus = read_corpus(store, TOKENIZER, most_tokens=len(record().tokens) + 1)
    assert sorted(each.time_s for each in corpus.records) == [20.0, 30.0]
    assert corpus.too_many


def test_nothing_to_learn_from_says_why(tmp_path: Path) -> None:
    """And nothing of what there is not."""
    store, strange = Store(str(tmp_path)), b"y" * 16
    with pytest.raises(NothingToLearnError, match=r"from: no record was found$"):
        read_corpus(store, TOKENIZER, most_tokens=1000)
    written(store, [record()])
    with pytest.raises(
        NothingToLearnError, match=r"from: only records of another tokenizer \(1\)$"
    ):
        read_corpus(store, strange, most_tokens=1000)
    with pytest.raises(NothingToLearnError, match=r"from: no record was found$"):
        read_corpus(store, TOKENIZER, most_tokens=1000, tenant="nobody")
    broken = tmp_path / "tenant=anna" / "99999999999999-broken.parquet"
    broken.write_bytes(b"PAR1 no more")
    said = "from: only records of another tokenizer (1) and damaged shards (1)"
    with pytest.raises(NothingToLearnError, match=f"{re.escape(said)}$"):
        read_corpus(store, strange, most_tokens=1000)
