"""Shards: whole or not there, of one tenant each, gone when they are deleted."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outrider_cloud.records.record import Record, Tops
from outrider_cloud.records.schema import SCHEMA
from outrider_cloud.records.shards import ShardError, Store, StoreError
from tests.cloud.records.samples import record, records


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(some=st.lists(records(), min_size=1, max_size=4))
def test_what_is_read_is_what_was_written(tmp_path: Path, some: list[Record]) -> None:
    store = Store(str(tmp_path))
    assert list(store.read(store.write("anna", some))) == some


def test_a_footer_says_what_a_shard_holds(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    path = store.write("a/../b ü", [record(), record()])
    shard = store.look(path)
    assert (shard.tenant, shard.records) == ("a/../b ü", 2)
    assert shard.size_bytes == Path(path).stat().st_size
    assert [each.relative_to(tmp_path).parts[0] for each in tmp_path.rglob("*.parquet")] == [
        "tenant=a%2F..%2Fb%20%C3%BC"
    ]


def test_shards_come_oldest_first_whoever_wrote_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    late = store.write("anna", [record(time_s=2e9), record(time_s=1.9e9)])
    early = store.write("bert", [record(time_s=7.0)])
    assert store.paths() == [early, late]
    assert store.paths("anna") == [late]
    assert store.paths("nobody") == []


def test_any_file_system_will_do() -> None:
    store = Store("memory://records-of-a-test")
    path = store.write("anna", [record()])
    assert list(store.read(path)) == [record()]
    assert store.delete("anna") > 0
    assert store.paths() == []


def test_deleting_a_tenant_removes_the_bytes_and_nobody_elses(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("anna", [record()])
    kept = store.write("anna2", [record()])
    unfinished = tmp_path / "tenant=anna" / "x.parquet.partial"
    unfinished.write_bytes(b"half")
    size = sum(path.stat().st_size for path in (tmp_path / "tenant=anna").iterdir())
    assert store.delete("anna") == size
    assert store.paths() == [kept]
    assert not (tmp_path / "tenant=anna").exists()
    assert store.delete("anna") == 0


def test_an_unfinished_shard_is_none(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    whole = Path(store.write("anna", [record()]))
    (whole.parent / "00000000000001-00.parquet.partial").write_bytes(whole.read_bytes()[:100])
    assert store.paths() == [str(whole)]


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_damaged_shard_is_named(tmp_path: Path, kept: int) -> None:
    store = Store(str(tmp_path))
    path = Path(store.write("anna", [record()]))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ShardError, match=f"{path.name} is damaged"):
        store.look(str(path))
    with pytest.raises(ShardError, match="is damaged"):
        list(store.read(str(path)))


def test_damage_within_the_records_is_found_too(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    path = Path(store.write("anna", [record(200)]))
    content = bytearray(path.read_bytes())
    content[200:1200] = bytes(1000)
    path.write_bytes(content)
    with pytest.raises(ShardError):
        list(store.read(str(path)))


def test_a_table_of_something_else_is_foreign(tmp_path: Path) -> None:
    path = tmp_path / "tenant=anna" / "1-1.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"tokens": [1, 2]}), path)
    with pytest.raises(ShardError, match="holds no records"):
        Store(str(tmp_path)).look(str(path))


def test_records_of_another_version_are_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "tenant=anna" / "1-1.parquet"
    path.parent.mkdir()
    schema = SCHEMA.with_metadata({b"outrider.records": b"2"})
    pq.write_table(pa.Table.from_pylist([], schema=schema), path)
    with pytest.raises(ShardError, match="version 2, this program reads 1"):
        Store(str(tmp_path)).look(str(path))


def test_a_full_disk_leaves_no_shard_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.fail("this test needs Linux")
    monkeypatch.setattr("secrets.token_hex", lambda size: "1")
    name = Path(Store(str(tmp_path / "roomy")).write("anna", [record()])).name
    folder = tmp_path / "tenant=anna"
    folder.mkdir()
    (folder / f"{name}.partial").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="No space left"):
        Store(str(tmp_path)).write("anna", [record()])
    assert os.listdir(folder) == []


def test_a_place_that_cannot_be_is_refused() -> None:
    with pytest.raises(StoreError):
        Store("nosuchscheme://x")


def test_columns_of_a_record_are_of_one_length() -> None:
    with pytest.raises(ValueError, match="one length"):
        replace(record(), tokens=(1,))


def test_exact_is_what_can_be_replayed() -> None:
    from outrider_protos.words import Rollback

    assert record().exact
    assert replace(record(), rollback=Rollback(threshold=0.0)).exact
    assert not replace(record(), rollback=Rollback(threshold=0.1)).exact


def tails(value: float) -> np.ndarray[Any, Any]:
    return np.full(4, value, np.float32)


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_is_read_as_another_record(at: float, bit: int) -> None:
    """Nor is one lost without a word: the footer says how many there are, and may be hit."""
    store = Store("memory://flipped-bits")
    written = [record(positions=9)]
    path = store.write("anna", written)
    files = fsspec.filesystem("memory")
    data = bytearray(files.cat_file(path))
    data[int(at * len(data))] ^= 1 << bit
    files.pipe_file(path, bytes(data))
    try:
        assert list(store.read(path)) == written
    except ShardError as error:
        assert path.rsplit("/", 1)[-1] in str(error)
    finally:
        files.rm_file(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": (1, -2)},
        {"tops": Tops(-np.ones((4, 3), "i4"), np.zeros((4, 3), "f4"), tails(0.5))},
        {"tops": Tops(np.ones((4, 3), "i4"), np.full((4, 3), np.nan, "f4"), tails(0.5))},
        {"tops": Tops(np.ones((4, 3), "i4"), np.ones((4, 3), "f4"), tails(0.5))},
        {"tops": Tops(np.ones((4, 3), "i4"), np.zeros((4, 3), "f4"), tails(1.5))},
        {"tops": Tops(np.ones((4, 3), "i4"), np.zeros((4, 3), "f4"), tails(np.nan))},
    ],
)
def test_numbers_that_nobody_wrote_are_no_record(wrong: dict[str, Any], tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    path = store.write("anna", [replace(record(), **wrong)])
    with pytest.raises(ShardError, match="contradicts itself"):
        list(store.read(path))


def test_the_footer_is_covered_too(tmp_path: Path) -> None:
    """A letter of the writer's name, which no reader needs."""
    store = Store(str(tmp_path))
    path = Path(store.write("anna", [record()]))
    data = path.read_bytes()
    assert b"parquet-cpp" in data
    path.write_bytes(data.replace(b"parquet-cpp", b"parquet-cpq"))
    with pytest.raises(ShardError, match="is damaged"):
        list(store.read(str(path)))
