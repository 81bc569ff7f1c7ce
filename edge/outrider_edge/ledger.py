"""The account of what left the machine: a meter for every byte, a SQLite file for every answer
and every update.

Counts and modes only: never a prompt, a token or an address. Bytes are those of gRPC messages as
serialised and of HTTP messages as written; what HTTP/2, TLS and TCP add is not visible from here.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_UNDER_WAY_S: Final = 1.0  # between two entries of an update that goes on

_UPDATES_SCHEMA = """
CREATE TABLE IF NOT EXISTS updates (
    finished_at_s REAL NOT NULL,
    ended TEXT NOT NULL,
    bytes_sent INTEGER NOT NULL,
    bytes_received INTEGER NOT NULL
)
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    finished_at_s REAL NOT NULL,
    mode TEXT NOT NULL,
    ended TEXT NOT NULL,
    tokens_by_draft INTEGER NOT NULL,
    tokens_by_target INTEGER NOT NULL,
    tokens_unverified INTEGER NOT NULL,
    target_passes INTEGER NOT NULL,
    bytes_sent INTEGER NOT NULL,
    bytes_received INTEGER NOT NULL
)
"""

_MORE = """
UPDATE updates SET finished_at_s = ?, ended = ?,
       bytes_sent = bytes_sent + ?, bytes_received = bytes_received + ?
WHERE rowid = ?
"""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of messages in either direction, seen from the device."""

    bytes_sent: int
    bytes_received: int

    def __sub__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.bytes_sent - other.bytes_sent, self.bytes_received - other.bytes_received
        )


class Meter:
    """Counts every serialised byte, for itself and its parent. Any thread may call it."""

    def __init__(self, parent: "Meter | None" = None) -> None:
        self._parent = parent
        self._lock = threading.Lock()
        self._sent = 0
        self._received = 0

    def sent(self, count: int) -> None:
        with self._lock:
            self._sent += count
        if self._parent is not None:
            self._parent.sent(count)

    def received(self, count: int) -> None:
        with self._lock:
            self._received += count
        if self._parent is not None:
            self._parent.received(count)

    @property
    def traffic(self) -> Traffic:
        with self._lock:
            return Traffic(self._sent, self._received)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One answer, in numbers."""

    mode: str
    ended: str
    tokens_by_draft: int
    tokens_by_target: int
    tokens_unverified: int
    target_passes: int
    traffic: Traffic


class Ledger:
    """Appends to a SQLite file, or keeps nothing when there is no path.

    An answer is worth more than its bookkeeping: when the file cannot be written (a full disk), the
    entry is counted as lost, a warning is logged once, and the answer goes on.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.lost = 0

    def record(self, entry: Entry) -> None:
        """An answer."""
        values = (
            time.time(),
            entry.mode,
            entry.ended,
            entry.tokens_by_draft,
            entry.tokens_by_target,
            entry.tokens_unverified,
            entry.target_passes,
            entry.traffic.bytes_sent,
            entry.traffic.bytes_received,
        )
        self._add(_SCHEMA, "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def record_update(self, ended: str, traffic: Traffic, onto: int | None = None) -> int | None:
        """A look at a release channel, or a model that was fetched; no bytes, no entry. `onto` is
        the entry of the same update that began before. The entry, if there is one.
        """
        values = (time.time(), ended, traffic.bytes_sent, traffic.bytes_received)
        if onto is not None and self._add(_UPDATES_SCHEMA, _MORE, (*values, onto))[0]:
            return onto  # else somebody has removed the ledger
        if not traffic.bytes_sent and not traffic.bytes_received:
            return None
        return self._add(_UPDATES_SCHEMA, "INSERT INTO updates VALUES (?, ?, ?, ?)", values)[1]

    def _add(
        self, schema: str, statement: str, values: tuple[object, ...]
    ) -> tuple[int, int | None]:
        """How many rows were written, and the new one."""
        if self._path is None:
            return 0, None
        with self._lock:
            try:
                return self._insert(self._path, schema, statement, values)
            except (sqlite3.Error, OSError) as error:
                self.lost += 1
                if self.lost == 1:
                    _log.warning("ledger unwritable file=%s error=%s", self._path.name, error)
                return 0, None

    def _insert(
        self, path: Path, schema: str, statement: str, values: tuple[object, ...]
    ) -> tuple[int, int | None]:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=5.0)) as connection, connection:
            connection.execute(schema)
            written = connection.execute(statement, values)
            return written.rowcount, written.lastrowid


class Account:
    """Of updates: what a meter has counted of them goes to the ledger. Any thread may use it."""

    def __init__(self, meter: Meter, ledger: Ledger) -> None:
        self._meter, self._ledger = meter, ledger
        self._lock = threading.Lock()
        self._recorded = Traffic(0, 0)
        self._entry: int | None = None  # of the update that goes on

    def record(self, ended: str) -> None:
        """All that passed since the last time, in the entry of the update that ends."""
        with self._lock:
            self._write(ended)
            self._entry = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Meanwhile it is recorded every second: a process that is killed records nothing."""
        over = threading.Event()

        def keep() -> None:
            while not over.wait(_UNDER_WAY_S):
                with self._lock:
                    if self._meter.traffic != self._recorded:
                        self._entry = self._write("under way")

        thread = threading.Thread(target=keep, name="outrider-account", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _write(self, ended: str) -> int | None:
        traffic = self._meter.traffic
        passed, self._recorded = traffic - self._recorded, traffic
        return self._ledger.record_update(ended, passed, self._entry)
