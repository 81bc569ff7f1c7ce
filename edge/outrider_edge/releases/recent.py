"""The newest answers of this device, to try drafts on: token ids in a file that never leaves it.

Only answers whose text no draft had a say in, and only while a release channel is followed. Any
number of processes may add and read. It knows neither drafts nor what acceptance is.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from outrider_edge.errors import StoreFailed
from outrider_protos.words import Sampling

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS answers (number INTEGER PRIMARY KEY, answer BLOB NOT NULL)
"""
MOST_TOKENS: Final = 4096  # of a prompt and its answer; longer ones are left out


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentAnswer:
    """One exact answer, and the draft that was tried on it live."""

    number: int = 0  # in the order they came; given when it is kept
    draft: str  # its name in the store
    failed: bool  # the draft broke down while it was written
    domain: str
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    sampling: Sampling


class RecentAnswers:
    """A SQLite file that only its owner may read. Raises StoreFailed."""

    def __init__(self, path: Path, most: int) -> None:
        self._path, self._most = path, most

    @property
    def keeps(self) -> bool:
        """Whether there will ever be answers to try a draft on."""
        return self._most > 0

    def add(self, answer: RecentAnswer) -> None:
        """Keep it, and let the oldest go."""
        if not answer.tokens or len(answer.prompt) + len(answer.tokens) > MOST_TOKENS:
            return
        with self._open() as connection:
            said = (_ANSWER.dump_json(answer),)
            kept = connection.execute("INSERT INTO answers (answer) VALUES (?)", said)
            oldest = (kept.lastrowid or 0) - self._most
            connection.execute("DELETE FROM answers WHERE number <= ?", (oldest,))

    def after(self, number: int, most: int) -> list[RecentAnswer]:
        """Those that came later than that one, the oldest first."""
        query = "SELECT number, answer FROM answers WHERE number > ? ORDER BY number LIMIT ?"
        with self._open() as connection:
            return list(_answers(connection.execute(query, (number, most)).fetchall()))

    def newest(self) -> int:
        """The number of the last one; 0 while there is none."""
        with self._open() as connection:
            (number,) = connection.execute("SELECT max(number) FROM answers").fetchone()
            return number or 0

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(self._path, timeout=5.0)) as connection, connection:
                connection.execute("PRAGMA secure_delete = ON")  # what goes is not to be read
                connection.execute(_SCHEMA)
                yield connection
        except (sqlite3.Error, OSError) as error:
            if type(error) is sqlite3.DatabaseError:  # no database, or half of one: begin anew
                self._path.unlink(missing_ok=True)
            problem = error.strerror if isinstance(error, OSError) else error
            raise StoreFailed(f"recent answers, in {self._path.name}: {problem}") from error


_ANSWER: Final = TypeAdapter(RecentAnswer)


def _answers(rows: list[tuple[int, bytes]]) -> Iterator[RecentAnswer]:
    """What another version of this program wrote otherwise is left out."""
    for number, answer in rows:
        with suppress(ValidationError):
            yield replace(_ANSWER.validate_json(answer), number=number)
