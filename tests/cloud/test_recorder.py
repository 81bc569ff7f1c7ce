"""The recorder's thread: nothing waits for it, and what it cannot keep is counted."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from outrider_cloud import recorder as module
from outrider_cloud.recorder import Recorder
from outrider_cloud.records.record import Versions
from outrider_cloud.records.shards import Store
from outrider_cloud.records.writer import Rotation
from tests.cloud.records.samples import tops
from tests.cloud.records.test_assembly import trace

VERSIONS = Versions(target="tiny", tokenizer=bytes(16), runtime="none")


def test_what_was_taken_is_on_the_disk_when_it_has_stopped(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    recorder = Recorder(store, VERSIONS)
    recorder.start()
    recorder.take(trace(3), tops(2))
    recorder.take(trace(5, ended=True), tops(2))
    recorder.take(trace(3, generation=2), tops(2))
    recorder.stop()
    (path,) = store.paths()
    assert sorted(record.tokens for record in store.read(path)) == [(3, 4), (3, 4, 5, 6)]
    assert recorder.counted.written == 6


def test_a_queue_that_is_full_drops_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    recorder = Recorder(Store(str(tmp_path)), VERSIONS)
    for at in (3, 5, 7, 9):
        recorder.take(trace(at), tops(2))
    assert recorder.counted.dropped == 4
    recorder.start()
    recorder.stop()
    assert recorder.counted.written == 4


def test_a_store_that_fails_costs_records_and_not_the_thread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tenant=anna").write_text("in the way")
    store = Store(str(tmp_path))
    recorder = Recorder(store, VERSIONS, Rotation(shard_bytes=1))
    recorder.start()
    recorder.take(trace(3, ended=True), tops(2))
    wait_for(lambda: recorder.counted.lost == 2)
    (tmp_path / "tenant=anna").unlink()
    recorder.take(trace(3, generation=2, ended=True), tops(2))
    recorder.stop()
    assert (recorder.counted.lost, recorder.counted.written) == (2, 2)
    assert "event=records_lost" in caplog.text


def wait_for(happened: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(2000):
        if happened():
            return
        pause.wait(0.01)
    raise AssertionError("it never happened")
