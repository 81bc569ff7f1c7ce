"""What a turn leaves for the records: which rows became tokens, and how each came to stand.

Values only, made by the core where a device consented; what the target thought at those rows is the
engine's to tell. It knows neither clocks nor files.
"""

from dataclasses import dataclass

from outrider_cloud.agreement import Judgement
from outrider_cloud.engine import Verdict, Work
from outrider_cloud.records.record import Fate
from outrider_protos.words import Provenance, Rollback, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is the same for all of a generation."""

    owner: str
    prompt: tuple[int, ...]
    sampling: Sampling
    rollback: Rollback | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The tokens one turn committed. The columns are of one length, at least 1."""

    generation: int
    session: int  # handle, for `Engine.tops`
    opening: Opening | None  # with a generation's first tokens alone
    at: int  # log index of the first of them
    rows: tuple[int, ...]  # of the verdict, one each
    tokens: tuple[int, ...]
    choices: tuple[int, ...]
    fates: tuple[Fate, ...]
    ended: bool  # no more will come


def fates_of(work: Work, judgement: Judgement, committed: int) -> tuple[Fate, ...]:
    """Tokens of nodes were accepted; the one after them corrects what was proposed there."""
    path = judgement.path
    last = path[-1] if path else 0
    final = Fate.CORRECTED if last in work.parents else Fate.OWN
    return (*(Fate.ACCEPTED for _ in path), final)[:committed]


def rows_of(judgement: Judgement, committed: int) -> tuple[int, ...]:
    """The row each committed token was chosen at."""
    return (0, *judgement.path)[:committed]


def choices_at(verdict: Verdict, rows: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(verdict.choices[row] for row in rows)
