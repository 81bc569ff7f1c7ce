"""The ledger read back: what left this machine, by mode. Writing it is `ledger`'s affair."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from outrider_edge.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeTotal:
    """All answers of one mode, summed."""

    mode: str
    answers: int
    tokens_by_draft: int
    tokens_by_target: int
    tokens_unverified: int
    target_passes: int
    bytes_sent: int
    bytes_received: int


_QUERY = """
SELECT mode, count(*), sum(tokens_by_draft), sum(tokens_by_target), sum(tokens_unverified),
       sum(target_passes), sum(bytes_sent), sum(bytes_received)
FROM answers GROUP BY mode ORDER BY mode
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTotal:
    """All updates, and models that were fetched, summed."""

    looks: int
    bytes_sent: int
    bytes_received: int


_UPDATES_QUERY = "SELECT count(*), total(bytes_sent), total(bytes_received) FROM updates"


@dataclass(frozen=True, slots=True)
class Totals:
    """What left this machine, and what came."""

    modes: tuple[ModeTotal, ...]
    updates: UpdateTotal


def totals(path: Path) -> Totals:
    """One entry for each mode that was used. Raises BadInput if there is no such ledger."""
    if not path.is_file():
        raise BadInput(f"{path.name}: there is no such ledger; it begins with the first answer")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            known = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if not known:
                raise sqlite3.DatabaseError("empty")
            rows = connection.execute(_QUERY).fetchall() if ("answers",) in known else []
            updates = (
                connection.execute(_UPDATES_QUERY).fetchone()
                if ("updates",) in known
                else (0, 0, 0)
            )
    except sqlite3.Error as error:
        raise BadInput(f"{path.name}: is not a ledger") from error
    looks, sent, received = map(int, updates)
    total = UpdateTotal(looks=looks, bytes_sent=sent, bytes_received=received)
    return Totals(tuple(_modes(rows)), total)


def _modes(rows: list[tuple[str, int, int, int, int, int, int, int]]) -> list[ModeTotal]:
    return [
        ModeTotal(
            mode=mode,
            answers=answers,
            tokens_by_draft=by_draft,
            tokens_by_target=by_target,
            tokens_unverified=unverified,
            target_passes=passes,
            bytes_sent=sent,
            bytes_received=received,
        )
        for mode, answers, by_draft, by_target, unverified, passes, sent, received in rows
    ]
