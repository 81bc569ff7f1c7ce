"""When gathered records become shards."""

from pathlib import Path

from outrider_cloud.records.shards import Store
from outrider_cloud.records.writer import Rotation, ShardWriter
from tests.cloud.records.samples import record

SIZE = record().size_bytes


def counts(store: Store) -> list[tuple[str, int]]:
    return sorted((store.look(path).tenant, store.look(path).records) for path in store.paths())


def test_a_full_shard_is_written_at_once_and_the_rest_at_the_end(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with ShardWriter(store, Rotation(shard_bytes=3 * SIZE)) as writer:
        for _ in range(7):
            writer.add(record())
        assert counts(store) == [("anna", 3), ("anna", 3)]
    assert counts(store) == [("anna", 1), ("anna", 3), ("anna", 3)]


def test_tenants_never_share_a_shard(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with ShardWriter(store, Rotation(shard_bytes=2 * SIZE)) as writer:
        for tenant in ("anna", "bert", "anna", "bert", "bert"):
            writer.add(record(tenant=tenant))
    assert counts(store) == [("anna", 2), ("bert", 1), ("bert", 2)]


def test_what_is_held_is_bounded_over_all_tenants(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with ShardWriter(store, Rotation(held_bytes=4 * SIZE)) as writer:
        for tenant in ("a", "b", "b", "c"):
            writer.add(record(tenant=tenant))
        assert counts(store) == [("b", 2)]


def test_a_record_does_not_wait_for_others_for_ever(tmp_path: Path) -> None:
    store, now_s = Store(str(tmp_path)), [0.0]
    with ShardWriter(store, Rotation(age_s=60), clock=lambda: now_s[0]) as writer:
        writer.add(record())
        now_s[0] = 59.0
        writer.tick()
        assert counts(store) == []
        now_s[0] = 61.0
        writer.add(record(tenant="bert"))
        assert counts(store) == [("anna", 1)]


def test_an_error_outside_loses_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    try:
        with ShardWriter(store) as writer:
            writer.add(record())
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert counts(store) == [("anna", 1)]
