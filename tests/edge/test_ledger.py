"""The ledger keeps numbers, and loses none of the answer when it cannot be written."""

import sqlite3
import threading
from pathlib import Path

from outrider_edge.account import UpdateTotal, totals
from outrider_edge.ledger import Account, Entry, Ledger, Meter, Traffic

ENTRY = Entry(
    mode="exact",
    ended="end_token",
    tokens_by_draft=3,
    tokens_by_target=2,
    tokens_unverified=0,
    target_passes=2,
    traffic=Traffic(100, 50),
)


def test_every_answer_is_a_row(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "ledger.db")
    ledger.record(ENTRY)
    ledger.record(ENTRY)
    rows = sqlite3.connect(tmp_path / "new" / "ledger.db").execute("SELECT * FROM answers")
    assert [row[1:] for row in rows] == [("exact", "end_token", 3, 2, 0, 2, 100, 50)] * 2


def test_a_disk_that_is_full_costs_the_entry_alone() -> None:
    ledger = Ledger(Path("/dev/full"))
    ledger.record(ENTRY)
    assert ledger.lost == 1


def test_without_a_path_nothing_is_kept() -> None:
    ledger = Ledger(None)
    ledger.record(ENTRY)
    assert ledger.lost == 0


def test_the_meter_adds_up() -> None:
    meter = Meter()
    before = meter.traffic
    meter.sent(5)
    meter.sent(2)
    meter.received(9)
    assert meter.traffic - before == Traffic(7, 9)


def test_updates_are_rows_of_their_own_and_no_bytes_make_none(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(path)
    ledger.record_update("up to date", Traffic(0, 0))
    assert not path.exists()
    ledger.record_update("committed", Traffic(100, 5000))
    ledger.record_update("failed", Traffic(20, 0))
    found = totals(path)
    assert found.modes == ()
    assert found.updates == UpdateTotal(looks=2, bytes_sent=120, bytes_received=5000)
    ledger.record(ENTRY)
    assert [mode.mode for mode in totals(path).modes] == ["exact"]
    assert totals(path).updates == found.updates


def test_a_ledger_from_before_there_were_updates(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").record(ENTRY)
    assert totals(tmp_path / "ledger.db").updates.looks == 0


def test_an_update_is_one_row_however_often_it_is_written(tmp_path: Path) -> None:
    path, meter = tmp_path / "ledger.db", Meter()
    account = Account(meter, Ledger(path))
    with account.kept():
        meter.received(70)
        while not path.exists() or not totals(path).updates.bytes_received:
            threading.Event().wait(0.05)
        assert totals(path).updates == UpdateTotal(looks=1, bytes_sent=0, bytes_received=70)
        meter.sent(5)
    account.record("committed")
    meter.received(1)
    account.record("listening")
    rows = sqlite3.connect(path).execute("SELECT ended, bytes_sent, bytes_received FROM updates")
    assert rows.fetchall() == [("committed", 5, 70), ("listening", 0, 1)]


def test_a_ledger_that_is_removed_is_begun_anew(tmp_path: Path) -> None:
    ledger, path = Ledger(tmp_path / "ledger.db"), tmp_path / "ledger.db"
    entry = ledger.record_update("under way", Traffic(3, 4))
    path.unlink()
    assert ledger.record_update("under way", Traffic(1, 2), entry) is not None
    assert totals(path).updates == UpdateTotal(looks=1, bytes_sent=1, bytes_received=2)
