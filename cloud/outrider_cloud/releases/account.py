"""The fleet's account over restarts: a SQLite file that every change to a fleet is written to.

Changes wait in memory and are written together, so a crash may lose what was heard in the last
second. A disk that fails costs the account, never an answer: what waits is bounded, then dropped.
"""

import json
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Final, TypeAlias

from outrider_cloud.errors import ConfigError
from outrider_cloud.releases.fleet import (
    Change,
    Closed,
    Counted,
    Forgotten,
    Halted,
    Placed,
    Uncounted,
)
from outrider_cloud.releases.halting import Ballot
from outrider_cloud.releases.report import Report, State, Tally

_LOG = logging.getLogger(__name__)

_MOST_WAITING: Final = 200_000
_VERSION: Final = 1
_SCHEMA: Final = f"""
PRAGMA user_version = {_VERSION};
CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY,  -- in the order they came
    owner TEXT NOT NULL, line TEXT NOT NULL, device BLOB NOT NULL,
    release INTEGER NOT NULL, state TEXT NOT NULL, domains TEXT NOT NULL,
    UNIQUE (owner, line, device)
);
CREATE TABLE IF NOT EXISTS ballots (
    line TEXT NOT NULL, release INTEGER NOT NULL, owner TEXT NOT NULL, device BLOB NOT NULL,
    ended INTEGER NOT NULL, bad INTEGER NOT NULL, loss REAL NOT NULL,
    PRIMARY KEY (line, release, owner, device)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS halted (
    line TEXT NOT NULL, release INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (line, release)
) WITHOUT ROWID;
"""
_Statement: TypeAlias = tuple[str, tuple[str | bytes | int | float, ...]]


class Account:
    """Of one process at a time. `add` never waits; the others block."""

    def __init__(self, file: Path) -> None:
        """Raises ConfigError for a file that cannot be one."""
        self._file = file
        self._waiting: deque[_Statement] = deque(maxlen=_MOST_WAITING)
        self._writing = threading.Lock()  # so that changes keep their order
        self._failing = False
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection:
                _prepare(connection, file)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"cannot keep the fleet's account in {file}: {error}") from error

    def changes(self) -> Iterator[Change]:
        """What leads to the fleet that was. Raises ConfigError for an account that is damaged."""
        try:
            with closing(self._connect()) as connection:
                yield from _placed(connection)
                yield from _counted(connection)
                yield from _halted(connection)
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise ConfigError(f"the fleet's account {self._file} is damaged: {error}") from error

    def add(self, changes: Iterable[Change]) -> None:
        """They are written with the next flush."""
        self._waiting.extend(map(_statement, changes))

    def flush(self) -> None:
        """Write all that waits, or nothing of it; then it goes on waiting."""
        with self._writing:
            # Taken one by one: meanwhile the event loop adds more.
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                self._write(batch)
            except sqlite3.Error as error:
                self._waiting.extendleft(reversed(batch))
                if not self._failing:
                    _LOG.error("event=fleet_unwritten error=%s", error)
                self._failing = True
            else:
                self._failing = False

    def _write(self, batch: Sequence[_Statement]) -> None:
        if batch:
            with closing(self._connect()) as connection, connection:
                for text, values in batch:
                    connection.execute(text, values)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=5.0)


def _prepare(connection: sqlite3.Connection, file: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise ConfigError(f"{file} was written by another version of this program")
    connection.executescript(_SCHEMA)


def _statement(change: Change) -> _Statement:
    match change:
        case Placed(owner, report):
            domains = json.dumps([(name, asdict(tally)) for name, tally in report.domains])
            state = report.state.value
            values = (owner, report.line, report.device, report.release, state, domains)
            return "INSERT OR REPLACE INTO reports VALUES (NULL, ?, ?, ?, ?, ?, ?)", values
        case Forgotten(owner, (line, device)):
            text = "DELETE FROM reports WHERE owner = ? AND line = ? AND device = ?"
            return text, (owner, line, device)
        case Counted(owner, device, line, release, ballot):
            said = (ballot.ended, ballot.bad, ballot.loss)
            text = "INSERT OR REPLACE INTO ballots VALUES (?, ?, ?, ?, ?, ?, ?)"
            return text, (line, release, owner, device, *said)
        case Uncounted(owner, device, line, release):
            text = "DELETE FROM ballots WHERE line = ? AND release = ? AND owner = ? AND device = ?"
            return text, (line, release, owner, device)
        case Halted(line, release, reason):
            return "INSERT OR REPLACE INTO halted VALUES (?, ?, ?)", (line, release, reason)
        case Closed(line, release):
            return "DELETE FROM ballots WHERE line = ? AND release = ?", (line, release)


def _placed(connection: sqlite3.Connection) -> Iterator[Change]:
    columns = "owner, device, line, release, state, domains"
    rows = connection.execute(f"SELECT {columns} FROM reports ORDER BY number")  # noqa: S608
    for owner, device, line, release, state, domains in rows:
        told = tuple((name, Tally(**tally)) for name, tally in json.loads(domains))
        report = Report(device=device, line=line, release=release, state=State(state), domains=told)
        yield Placed(owner, report)


def _counted(connection: sqlite3.Connection) -> Iterator[Change]:
    columns = "owner, device, line, release, ended, bad, loss"
    for owner, device, line, release, ended, bad, loss in connection.execute(
        f"SELECT {columns} FROM ballots"  # noqa: S608
    ):
        yield Counted(owner, device, line, release, Ballot(bool(ended), bool(bad), loss))


def _halted(connection: sqlite3.Connection) -> Iterator[Change]:
    for line, release, reason in connection.execute("SELECT line, release, reason FROM halted"):
        yield Halted(line, release, reason)
