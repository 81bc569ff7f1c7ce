"""The online run: follow the records, learn, judge, and put forward what is better.

One round of the paper's Algorithm 1 for each `turn`: what came in is kept back or goes to the
replay buffer; when an update is due the student takes its steps, the file that comes of it is
judged by the answers kept back, and only a file that passes takes the place of the current one. It
does not know who waits for new drafts, nor how long to wait for records.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from accelerate import Accelerator

from outrider_cloud.records.record import Fate, Record
from outrider_cloud.records.shards import Store
from outrider_cloud.target import Target, load_target
from outrider_edge.llama.gguf_header import file_id
from outrider_training.cadence import Cadence, Due, Rhythm
from outrider_training.course import run_id
from outrider_training.distil import Distiller
from outrider_training.examination import Report, judged, replay_both
from outrider_training.examples import Example, Weighting
from outrider_training.follower import Follower
from outrider_training.gate import Terms, Verdict, falls, judge
from outrider_training.held_back import HeldBack
from outrider_training.lesson import draft_fingerprint
from outrider_training.manifest import manifest_of
from outrider_training.mould import cast
from outrider_training.outbox import Outbox
from outrider_training.prompts import prompt_digest
from outrider_training.regimen import Regimen
from outrider_training.replay import Candidate, Replayer
from outrider_training.replay_buffer import BufferRules, ReplayBuffer
from outrider_training.sampling import Mixture, Sampler
from outrider_training.standing import Standing
from outrider_training.student import load_student

_PATIENCE: Final = 2  # refused files in a row, before the student goes back to the current one


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineRun:
    """What to follow, from which draft, by which rules, and where better ones are put.

    With a target, updates of idle times learn from answers that the student writes itself, alone
    or mixed; others always learn from the records.
    """

    records: str
    draft: Path
    output: Path  # folder
    tenant: str | None = None
    rhythm: Rhythm = Rhythm()
    rules: BufferRules = BufferRules()
    regimen: Regimen = Regimen()
    weighting: Weighting = Weighting()
    target: str | None = None
    mixture: Mixture = Mixture(beta=0.0)
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
    """Call `turn` now and then, from one thread, and `close` at the end. A folder that a run has
    worked in before is gone on from. Raises TrainingError, TargetError, EdgeError, StoreError.
    """

    def __init__(self, run: OnlineRun, clock: Callable[[], float] = time.monotonic) -> None:
        self._run, self._clock = run, clock
        self.answers = self.attempts = 0
        self.current = run.draft  # the best file so far
        self.outbox = Outbox(run.output)
        self.buffer = ReplayBuffer(run.rules, Random(run.seed))  # noqa: S311 - no secret
        self.follower = Follower(Store(run.records), draft_fingerprint(run.draft), run.tenant)
        self._held_back = HeldBack(run.held_back, dict.fromkeys(manifest_of(run.draft)))
        self._cadence = Cadence(run.rhythm)
        self._refused = 0
        self._regimen = replace(run.regimen, decay_steps=run.steps, again=True)
        self._id = run_id((), file_id(run.draft), self._regimen)
        try:
            self._target = None if run.target is None else _load(run.target)
            self._go_on(Standing.load(self.outbox.standing, self._id))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process have the folder."""
        self.outbox.close()

    def turn(
        self,
        told: Callable[[Attempt], None],
        stopped: Callable[[], bool],
        busy: Callable[[], float | None] = lambda: None,
    ) -> int:
        """Take in what is new, updating whenever that is due; how many answers there were.

        `busy` is asked for the cloud's load, a share, only where that matters.
        """
        if gone := self.follower.gone():
            self._forget(gone)
        count = 0
        for record in self.follower.news():
            if stopped():
                break
            count += 1
            self._take(record)
            self._update(self._cadence.due(), told)
        if not stopped():
            self._update(self._cadence.scheduled(self._clock()), told)
        if not stopped() and self._cadence.waits_for_idleness:
            self._update(self._cadence.spare(busy()), told)
        return count

    def report_against(self, old: Path) -> Report | None:
        """The current draft against another file, by what is kept back; None without answers.

        Raises TrainingError, EdgeError.
        """
        answers = self._held_back.answers()
        if not answers:
            return None
        return judged(Candidate(self.current), Candidate(old), answers, self._run.terms)

    def _take(self, record: Record) -> None:
        self.answers += 1
        accepted, corrected = (record.fates.count(f) for f in (Fate.ACCEPTED, Fate.CORRECTED))
        proposed = accepted + corrected
        self._cadence.answered(accepted / proposed if proposed else None)
        self._keep(record)

    def _keep(self, record: Record) -> None:
        """Back, or to learn from."""
        learnable = self._held_back.take(record)
        if learnable is not None:
            self._add(learnable, passes=0)

    def _add(self, record: Record, passes: int) -> None:
        example = Example.of(record, self._run.weighting).within(self._context_tokens)
        if example is not None:
            stood = record.fates.count(Fate.ACCEPTED) / len(record.fates)
            self.buffer.add(example, 1 - stood, passes)

    def _forget(self, tenants: Collection[str]) -> None:
        """Somebody deleted shards of these; what is in the others is taken in again."""
        buffer, held_back = self._texts()
        self.buffer.forget(tenants)
        self._held_back.forget(tenants)
        left, kept = self._texts()
        self._restore(
            {text: passes for text, passes in buffer.items() if text not in left},
            set(held_back) - set(kept),
        )

    def _update(self, due: Due | None, told: Callable[[Attempt], None]) -> None:
        if due is None or not len(self.buffer):
            return
        self._cadence.updated(self._clock())
        self.attempts += 1
        loss = 0.0
        for _ in range(self._run.steps):
            loss = self._distiller.update(self._drawn(due)).loss
        self.buffer.let_go()
        self._save_standing()
        self._distiller.save(self.outbox.checkpoint, self._id)
        candidate = self.outbox.candidate
        cast(self._distiller.student, self._run.draft, candidate)
        verdict = self._judged(candidate)
        file = self._decide(verdict)
        self._save_standing()
        told(Attempt(self.attempts, due.reason, self.answers, loss, verdict, file))

    def _judged(self, candidate: Path) -> Verdict:
        """Against the current draft, and against the one it all began with: what a domain may
        lose it may lose once, not with every update.
        """
        answers, terms = self._held_back.answers(), self._run.terms
        fresh, first = Candidate(candidate), self._run.draft
        pairs, times = replay_both(fresh, Candidate(self.current), answers)
        verdict = judge(pairs, times, terms)
        if self.current == first or not verdict.passed:
            return verdict
        with Replayer(first) as replayer:
            texts = [(record.prompt, record.tokens, record.sampling) for record in answers]
            began = [replayer.replay(*text).agreed for text in texts]
        since = judge(
            [replace(p, old=old) for p, old in zip(pairs, began, strict=True)], times, terms
        )
        lost = [f"since the first draft {line}" for line in falls(since.domains, terms)]
        return replace(verdict, objections=(*verdict.objections, *lost))

    def _drawn(self, due: Due) -> list[Example]:
        """For one step: new answers of the student's while the target has time for them."""
        drawn = self.buffer.draw(self._run.examples_per_step)
        if self._target is None or not due.idle:
            return drawn
        student, target = self._distiller.student, self._target
        sampler = Sampler(student, target.model, self._run.mixture, target.end_ids)
        return sampler.answers(drawn, seed=self._run.seed + self._distiller.step)

    def _decide(self, verdict: Verdict) -> Path | None:
        if verdict.passed:
            self._refused = 0
            acceptance, learnt = verdict.overall.new.acceptance, self._held_back.learnt
            self.current = self.outbox.put_forward(self.answers, acceptance, learnt)
            return self.current
        self.outbox.candidate.unlink()
        self._refused += 1
        if self._refused >= _PATIENCE:
            self._distiller = self._student_of(self.current)
            self._refused = 0
            self._distiller.save(self.outbox.checkpoint, self._id)
        return None

    # ---- from one process to the next

    def _save_standing(self) -> None:
        buffer, held_back = self._texts()
        Standing(
            run=self._id,
            answers=self.answers,
            updates=self.attempts,
            refused=self._refused,
            seen=sorted(self.follower.seen),
            begun=self.follower.begun,
            learnt=[digest.hex() for digest in self._held_back.learnt],
            buffer=buffer,
            held_back=held_back,
        ).save(self.outbox.standing)

    def _texts(self) -> tuple[dict[str, int], list[str]]:
        """What is in memory, by digests: of the buffer with its passes, and what is kept back."""
        buffer = {
            _text_id(example.prompt, example.tokens): passes
            for example, passes in self.buffer.passes()
        }
        return buffer, [_text_id(r.prompt, r.tokens) for r in self._held_back.kept()]

    def _restore(self, buffer: Mapping[str, int], held_back: Collection[str]) -> None:
        """Read texts that were in memory again, as far as their shards are still there."""

        def wanted(record: Record) -> bool:
            text = _text_id(record.prompt, self._fitting(record))
            return text in buffer or _text_id(record.prompt, record.tokens) in held_back

        for record in self.follower.again(wanted, len(buffer) + len(held_back)):
            if _text_id(record.prompt, record.tokens) in held_back:
                self._held_back.keep(record)
            else:
                self._add(record, buffer[_text_id(record.prompt, self._fitting(record))])

    def _fitting(self, record: Record) -> tuple[int, ...]:
        """As much of an answer as an example holds."""
        return record.tokens[: max(0, self._context_tokens - len(record.prompt))]

    def _go_on(self, standing: Standing | None) -> None:
        self.current = self.outbox.current() or self._run.draft
        self._distiller = self._student_of(self.current)
        self._held_back.learnt |= dict.fromkeys(manifest_of(self.current))
        if standing is None:
            return
        self.answers, self.attempts = standing.answers, standing.updates
        self._refused = standing.refused
        if self.outbox.checkpoint.is_file():
            self._distiller.resume(self.outbox.checkpoint, self._id)
        self._held_back.learnt |= dict.fromkeys(map(bytes.fromhex, standing.learnt))
        self.follower.seen, self.follower.begun = set(standing.seen), dict(standing.begun)
        self._restore(standing.buffer, set(standing.held_back))

    def _student_of(self, draft: Path) -> Distiller:
        student = load_student(draft)
        self._context_tokens = student.config.max_position_embeddings
        return Distiller(student, self._regimen, Accelerator(), self._run.output)


def _load(target: str) -> Target:
    return load_target(target, device=Accelerator().device.type)


def _text_id(prompt: tuple[int, ...], tokens: tuple[int, ...]) -> str:
    return prompt_digest(prompt + tokens).hex()
