"""Which loss suits which domain: short trials, judged by the newest answers that may be learnt from
(DistillSpec, section 5.2: the best divergence depends on the task).

It does not know files beside the one that remembers what was found.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from accelerate import Accelerator
from transformers import PreTrainedModel

from outrider_training.course import Plan, run_id
from outrider_training.distil import Distiller
from outrider_training.errors import TargetUnwritableError
from outrider_training.examples import Example
from outrider_training.losses import Loss
from outrider_training.regimen import Measures, Regimen
from outrider_training.student import agreement

_FEWEST: Final = 8  # answers of a domain; with fewer a difference says nothing
Make = Callable[[], PreTrainedModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is tried, and for how long."""

    losses: tuple[Loss, ...] = (
        Loss.FORWARD_KL,
        Loss.REVERSE_KL,
        Loss.JSD,
        Loss.TVD_PLUS_PLUS,
        Loss.ACCEPTANCE,
    )
    steps: int = 40
    share: float = 0.2  # of a domain's answers, the newest, to judge by


@dataclass(frozen=True, slots=True)
class Trial:
    """One loss on one domain: agreement with the target after so many steps."""

    domain: str
    loss: Loss
    agreement: float


def best(trials: Sequence[Trial]) -> dict[str, Loss]:
    """Of every domain; of equal ones the first that was tried."""
    leading: dict[str, Trial] = {}
    for trial in trials:
        known = leading.get(trial.domain)
        if known is None or trial.agreement > known.agreement:
            leading[trial.domain] = trial
    return {domain: trial.loss for domain, trial in leading.items()}


class LossSearch:
    """Trials begin from a student of `make`; what they found is kept in `scratch`, for a run that
    is taken up again must not choose anew.
    """

    def __init__(self, search: Search, make: Make, plan: Plan, regimen: Regimen, scratch: Path):
        self._search, self._make, self._scratch = search, make, scratch
        self._plan, self._regimen = plan, replace(regimen, decay_steps=search.steps)
        self._file = scratch / "search.json"

    def run(
        self, examples: Sequence[Example], origin: str, told: Callable[[Trial], None]
    ) -> list[Trial]:
        """Of every domain with enough answers. Raises what `Distiller` does."""
        run = run_id(examples, self._search, self._plan, self._regimen, origin)
        if (known := self._known(run)) is not None:
            return known
        by_domain: defaultdict[str, list[Example]] = defaultdict(list)
        for example in sorted(examples, key=lambda each: each.time_s):
            by_domain[example.domain].append(example)
        trials: list[Trial] = []
        for domain, own in sorted(by_domain.items()):
            if len(own) < _FEWEST:
                continue
            border = len(own) - max(1, round(self._search.share * len(own)))
            learnt, judged = own[:border], own[border:]
            for loss in self._search.losses:
                trials.append(self._trial(domain, loss, learnt, judged))
                told(trials[-1])
        self._keep(run, trials)
        return trials

    def _trial(
        self, domain: str, loss: Loss, learnt: Sequence[Example], judged: Sequence[Example]
    ) -> Trial:
        student, general = self._make(), self._regimen.measures.general
        regimen = replace(self._regimen, measures=Measures(general=replace(general, loss=loss)))
        distiller = Distiller(student, regimen, Accelerator(), self._scratch)
        for step in range(self._search.steps):
            distiller.update(self._plan.draw(learnt, step))
        found = agreement(student, judged, regimen.micro_tokens)
        return Trial(domain, loss, found[domain])

    def _known(self, run: str) -> list[Trial] | None:
        if not self._file.is_file():
            return None
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            trials = [Trial(each[0], Loss(each[1]), each[2]) for each in kept["trials"]]
        except (OSError, ValueError, LookupError, TypeError):
            return None  # then it is searched anew
        return trials if kept.get("run") == run else None

    def _keep(self, run: str, trials: Sequence[Trial]) -> None:
        kept = {"run": run, "trials": [(t.domain, t.loss.value, t.agreement) for t in trials]}
        partial = self._file.with_suffix(f".{os.getpid()}")  # all processes find the same
        try:
            partial.write_text(json.dumps(kept), encoding="utf-8")
            os.replace(partial, self._file)
        except OSError as error:
            raise TargetUnwritableError(self._file, error.strerror or str(error)) from error
