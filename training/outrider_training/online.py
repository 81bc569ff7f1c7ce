"""The online run: follow the records, learn, judge, and put forward what is better.

One round of the paper's Algorithm 1 for each `turn`: what came in is kept back or goes to the
replay buffer; when an update is due the student takes its steps, the file that comes of it is
judged by the answers kept back, and only a file that passes takes the place of the current one. It
does not know who waits for new drafts, nor how long to wait for records.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from random import Random
from typing import Final

from accelerate import Accelerator

from outrider_cloud.records.record import Fate, Record
from outrider_cloud.records.shards import Store
from outrider_training.cadence import Cadence, Rhythm
from outrider_training.distil import Distiller
from outrider_training.errors import TargetUnwritableError
from outrider_training.examination import replay_both
from outrider_training.examples import Example, Weighting
from outrider_training.follower import Follower
from outrider_training.gate import Terms, Verdict, judge
from outrider_training.held_back import HeldBack
from outrider_training.lesson import draft_fingerprint
from outrider_training.mould import cast
from outrider_training.regimen import Regimen
from outrider_training.replay import Candidate
from outrider_training.replay_buffer import BufferRules, ReplayBuffer
from outrider_training.student import load_student

CURRENT: Final = "current.json"  # names the file to use
_PATIENCE: Final = 2  # refused files in a row, before the student goes back to the current one


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineRun:
    """What to follow, from which draft, by which rules, and where better ones are put."""

    records: str
    draft: Path
    output: Path  # folder
    tenant: str | None = None
    rhythm: Rhythm = Rhythm()
    rules: BufferRules = BufferRules()
    regimen: Regimen = Regimen()
    weighting: Weighting = Weighting()
    terms: Terms = Terms(fewest=8)
    steps: int = 40  # of an update
    examples_per_step: int = 16
    held_back: int = 16  # answers of each domain
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One update: why it was made, and what the gate said."""

    number: int
    reason: str
    answers: int  # seen until then
    loss: float
    verdict: Verdict
    file: Path | None  # where the draft lies, if it passed


class Online:
    """Call `turn` now and then, from one thread. Raises TrainingError, EdgeError, StoreError."""

    def __init__(self, run: OnlineRun) -> None:
        self.answers = self.attempts = 0
        self.current = run.draft
        self.buffer = ReplayBuffer(run.rules, Random(run.seed))  # noqa: S311 - no secret
        self.follower = Follower(Store(run.records), draft_fingerprint(run.draft), run.tenant)
        self._run = run
        self._held_back = HeldBack(run.held_back)
        self._cadence = Cadence(run.rhythm)
        self._refused = 0
        try:
            run.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TargetUnwritableError(run.output, error.strerror or str(error)) from error
        self._distiller = self._student_of(run.draft)

    def turn(self, told: Callable[[Attempt], None], stopped: Callable[[], bool]) -> int:
        """Take in what is new, updating whenever that is due; how many answers there were."""
        count = 0
        for record in self.follower.news():
            if stopped():
                break
            count += 1
            self._take(record)
            if (reason := self._cadence.due()) is not None and len(self.buffer):
                told(self._update(reason))
        return count

    def _take(self, record: Record) -> None:
        self.answers += 1
        accepted, corrected = (record.fates.count(f) for f in (Fate.ACCEPTED, Fate.CORRECTED))
        proposed = accepted + corrected
        self._cadence.answered(accepted / proposed if proposed else None)
        learnable = self._held_back.take(record)
        if learnable is None:
            return
        example = Example.of(learnable, self._run.weighting).within(self._context_tokens)
        if example is not None:
            stood = learnable.fates.count(Fate.ACCEPTED) / len(learnable.fates)
            self.buffer.add(example, 1 - stood)

    def _update(self, reason: str) -> Attempt:
        run = self._run
        self._cadence.updated()
        self.attempts += 1
        loss = 0.0
        for _ in range(run.steps):
            loss = self._distiller.update(self.buffer.draw(run.examples_per_step)).loss
        self.buffer.let_go()
        candidate = run.output / "candidate.gguf"
        cast(self._distiller.student, run.draft, candidate)
        pairs, times = replay_both(
            Candidate(candidate), Candidate(self.current), self._held_back.answers()
        )
        verdict = judge(pairs, times, run.terms)
        file: Path | None = None
        if verdict.passed:
            file = self._put_forward(candidate, verdict)
        else:
            self._refuse(candidate)
        return Attempt(self.attempts, reason, self.answers, loss, verdict, file)

    def _put_forward(self, candidate: Path, verdict: Verdict) -> Path:
        """The file under its own hash, and then the pointer to it: never the other way round."""
        with candidate.open("rb") as data:
            sha256 = file_digest(data, "sha256").hexdigest()
        file = self._run.output / f"{sha256[:16]}.gguf"
        os.replace(candidate, file)
        pointer = {"file": file.name, "sha256": sha256, "answers": self.answers}
        figures = {"acceptance": verdict.overall.new.acceptance}
        partial = self._run.output / f"{CURRENT}.partial"
        partial.write_text(json.dumps(pointer | figures), encoding="utf-8")
        os.replace(partial, self._run.output / CURRENT)
        self.current, self._refused = file, 0
        return file

    def _refuse(self, candidate: Path) -> None:
        candidate.unlink()
        self._refused += 1
        if self._refused >= _PATIENCE:
            self._distiller = self._student_of(self.current)
            self._refused = 0

    def _student_of(self, draft: Path) -> Distiller:
        student = load_student(draft)
        self._context_tokens = student.config.max_position_embeddings
        return Distiller(student, self._run.regimen, Accelerator(), self._run.output)
