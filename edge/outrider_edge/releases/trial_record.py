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
MOST_INTERRUPTIONS: Final = 20  # one after another: then nobody can tell
LONGEST_WAIT_S: Final = 86_400.0  # that counts between two looks: clocks jump, devices are off


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """Of one draft. `seen` is the number of the last recent answer that was looked at, `looked_s`
    when that was, in seconds since 1970.
    """

    name: str
    release: int
    seen: int
    looked_s: float
    silent_s: float = 0.0  # without any answer
    unused: int = 0  # answers since the last one that it drafted
    trial: Trial = Trial()
    pairs: tuple[Compared, ...] = ()  # one a domain, summed
    slow: int = 0  # looks at which it was too slow, and others
    fast: int = 0
    interruptions: int = 0  # since drafts could last be tried

    def waited(self, now_s: float) -> "TrialRecord":
        """No answer came since the last look."""
        passed_s = min(max(0.0, now_s - self.looked_s), LONGEST_WAIT_S)
        return replace(self, looked_s=now_s, silent_s=self.silent_s + passed_s)

    def heard(self, now_s: float, seen: int, answers: int, ours: int) -> "TrialRecord":
        """So many came, some of them drafted by it."""
        unused = 0 if ours else self.unused + answers
        return replace(self, looked_s=now_s, seen=seen, silent_s=0.0, unused=unused)

    def looked(self, pairs: Sequence[Compared], *, slow: bool | None) -> "TrialRecord":
        """After a look at some that it drafted; too few to tell its pace by, where that is None."""
        trial, summed = self.trial, {pair.domain: pair for pair in self.pairs}
        for pair in pairs:
            trial = trial.with_answer(pair.new / pair.positions, pair.old / pair.positions)
            known = summed.get(pair.domain)
            summed[pair.domain] = pair if known is None else known + pair
        return replace(
            self,
            trial=trial,
            pairs=tuple(summed.values()),
            slow=self.slow + (slow is True),
            fast=self.fast + (slow is False),
            interruptions=0,
        )

    def interrupted(self) -> "TrialRecord":
        """After a look at which nothing could be tried."""
        return replace(self, interruptions=self.interruptions + 1)

    @property
    def is_idle(self) -> bool:
        """A few answers speak against it, and no more came for long: that is no verdict."""
        return self.silent_s >= QUIET_S and self.outcome is Outcome.GOES_ON

    @property
    def outcome(self) -> Outcome:
        """One that this device never manages to use has lost, and one that is slow at most looks,
        however well it is accepted. Where nothing is left to judge by the mean decides.
        """
        if self.unused >= self.trial.terms.answers or self._slow:
            return Outcome.REVERT
        outcome = self.trial.outcome
        if outcome is Outcome.GOES_ON and self.silent_s >= QUIET_S:
            outcome = self.trial.leaning
        if outcome is Outcome.COMMIT and self.slow > self.fast:
            return Outcome.REVERT
        return outcome

    @property
    def text(self) -> str:
        """For people."""
        if self.unused >= self.trial.terms.answers:
            return f"{self.unused} answers were written without it"
        mean = self.trial.total / self.trial.answers if self.trial.answers else 0.0
        return f"{self.trial.answers} answers, acceptance {mean:+.3f}"

    @property
    def _slow(self) -> bool:
        growth = _PACE.begun
        for value in (*(1.0,) * self.slow, *(0.0,) * self.fast):
            growth = _PACE.after(growth, value)
        return _PACE.shown(growth, self.trial.terms.error)

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
