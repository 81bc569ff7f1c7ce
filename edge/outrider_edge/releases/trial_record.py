"""How far a trial has come, on the disk: a device may die at any moment of it.

It knows numbers; who wins is `trial`'s to say.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from outrider_edge.errors import StoreFailed
from outrider_edge.releases.examination import Compared
from outrider_edge.releases.trial import Outcome, Trial
from outrider_protos.betting import Bet

# That it is too slow at more than half of the looks.
_PACE: Final = Bet(bar=0.5, least=0.0, parts=(0.5, 0.9))
QUIET_S: Final = 7 * 86_400.0  # without an answer to judge by: then what is known decides


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """Of one draft. `seen` is the number of the last recent answer that was looked at, `heard_s`
    when the last one that counts was, or the trial began: seconds since 1970.
    """

    name: str
    release: int
    seen: int
    heard_s: float
    trial: Trial = Trial()
    pairs: tuple[Compared, ...] = ()  # one a domain, summed
    slow: int = 0  # looks at which it was too slow, and others
    fast: int = 0

    def looked(self, pairs: Sequence[Compared], now_s: float, *, slow: bool) -> "TrialRecord":
        """After a look at some more answers."""
        trial, summed = self.trial, {pair.domain: pair for pair in self.pairs}
        for pair in pairs:
            trial = trial.with_answer(pair.new / pair.positions, pair.old / pair.positions)
            known = summed.get(pair.domain)
            summed[pair.domain] = pair if known is None else known + pair
        return replace(
            self,
            heard_s=now_s,
            trial=trial,
            pairs=tuple(summed.values()),
            slow=self.slow + slow,
            fast=self.fast + (not slow),
        )

    def quiet(self, now_s: float) -> bool:
        """Whether nobody asks what it could be judged by: a device that only writes by itself."""
        return now_s - self.heard_s >= QUIET_S

    def outcome(self, now_s: float) -> Outcome:
        """A draft that is slow at most looks has lost, however well it is accepted."""
        growth = _PACE.begun
        for value in (*(1.0,) * self.slow, *(0.0,) * self.fast):
            growth = _PACE.after(growth, value)
        if _PACE.shown(growth, self.trial.terms.error):
            return Outcome.REVERT
        outcome = self.trial.outcome
        if outcome is Outcome.GOES_ON and self.quiet(now_s):
            outcome = self.trial.leaning
        if outcome is Outcome.COMMIT and self.slow > self.fast:
            return Outcome.REVERT
        return outcome

    def save(self, path: Path) -> None:
        """Whole or not at all. Raises StoreFailed."""
        partial = path.with_suffix(".partial")
        try:
            partial.write_bytes(_JSON.dump_json(self))
            os.replace(partial, path)
        except OSError as error:
            raise StoreFailed(f"the trial of a draft: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: Path, name: str) -> "TrialRecord | None":
        """None if there is none of that draft, or none that can be read."""
        try:
            record = _JSON.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        return record if record.name == name else None


_JSON: Final = TypeAdapter(TrialRecord)
