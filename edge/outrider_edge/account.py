"""The ledger read back: what left this machine, by mode. Writing it is `ledger`'s affair."""

import sqlite3
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


def totals(path: Path) -> list[ModeTotal]:
    """One entry for each mode that was used. Raises BadInput if there is no such ledger."""
    if not path.is_file():
        raise BadInput(f"{path.name}: there is no such ledger; it begins with the first answer")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            rows = connection.execute(_QUERY).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise BadInput(f"{path.name}: is not a ledger") from error
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
