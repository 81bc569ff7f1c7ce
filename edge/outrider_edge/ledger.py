"""The account of what left the machine: a meter for every byte, a SQLite file for every answer
and every update.

Counts and modes only: never a prompt, a token or an address. Bytes are those of gRPC messages as
serialised and of HTTP messages as written; what HTTP/2, TLS and TCP add is not visible from here.
"""

import logging
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

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

    def record_update(self, ended: str, traffic: Traffic) -> None:
        """A look at a release channel, or a model that was fetched; no bytes, no entry."""
        if traffic.bytes_sent or traffic.bytes_received:
            values = (time.time(), ended, traffic.bytes_sent, traffic.bytes_received)
            self._add(_UPDATES_SCHEMA, "INSERT INTO updates VALUES (?, ?, ?, ?)", values)

    def _add(self, schema: str, statement: str, values: tuple[object, ...]) -> None:
        if self._path is None:
            return
        with self._lock:
            try:
                self._insert(self._path, schema, statement, values)
            except (sqlite3.Error, OSError) as error:
                self.lost += 1
                if self.lost == 1:
                    _log.warning("ledger unwritable file=%s error=%s", self._path.name, error)

    def _insert(self, path: Path, schema: str, statement: str, values: tuple[object, ...]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=5.0)) as connection, connection:
            connection.execute(schema)
            connection.execute(statement, values)
