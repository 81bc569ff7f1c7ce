"""Three ways to meet a stream of answers: not at all, as the online paper's reference does, as our
worker does. Each tells which file drafts now, and how long it has trained.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from accelerate import Accelerator

from outrider_cloud.records.record import Fate, Record
from outrider_cloud.records.shards import Store
from outrider_cloud.records.writer import ShardWriter
from outrider_training.distil import Distiller
from outrider_training.examples import Example, Positions, Weighting
from outrider_training.mould import cast
from outrider_training.online import Online, OnlineRun
from outrider_training.regimen import Regimen
from outrider_training.student import load_student


class Learner(Protocol):
    """What a stream is shown to, a few answers at a time."""

    draft: Path
    training_s: float
    steps: int

    def learn(self, answered: Sequence[Record]) -> None:
        """Answers with what became of the proposals of `draft` in them."""


class Static:
    """Learns nothing."""

    def __init__(self, draft: Path) -> None:
        self.draft, self.training_s, self.steps = draft, 0.0, 0

    def learn(self, answered: Sequence[Record]) -> None:
        del answered


class Reference:
    """Algorithm 1 to the letter: after every few answers some steps on all of them, rejected
    positions alone; then they are forgotten, and the draft is replaced whatever it became.
    """

    def __init__(self, draft: Path, folder: Path, *, every: int, steps: int, seed: int) -> None:
        self.draft, self.training_s, self.steps = draft, 0.0, 0
        self._mould, self._folder, self._every, self._steps = draft, folder, every, steps
        self._distiller = Distiller(load_student(draft), Regimen(seed=seed), Accelerator(), folder)
        self._queue: list[Record] = []

    def learn(self, answered: Sequence[Record]) -> None:
        self._queue += answered
        if len(self._queue) < self._every:
            return
        began_s = time.perf_counter()
        weighting = Weighting(positions=Positions.REJECTED)
        examples = [Example.of(record, weighting) for record in self._queue]
        counted = [example for example in examples if example.weight]
        for _ in range(self._steps if counted else 0):
            self._distiller.update(counted)
            self.steps += 1
        self._queue.clear()
        self.draft = self._folder / "reference.gguf"
        cast(self._distiller.student, self._mould, self.draft)
        self.training_s += time.perf_counter() - began_s


class Worker:
    """Ours: a replay buffer, all positions, and a gate before every change of file.

    `before` are answers recorded earlier, on which nothing may get worse.
    """

    def __init__(self, draft: Path, folder: Path, before: Sequence[Record], *, seed: int) -> None:
        self._records = tempfile.mkdtemp(dir=folder)
        run = OnlineRun(records=self._records, draft=draft, output=folder / "drafts", seed=seed)
        self.draft, self.training_s, self.steps = draft, 0.0, 0
        self._online, self._steps = Online(run), run.steps
        self.learn(before)

    def learn(self, answered: Sequence[Record]) -> None:
        with ShardWriter(Store(self._records)) as writer:
            for record in answered:
                writer.add(record)
        began_s = time.perf_counter()
        self._online.turn(lambda attempt: None, lambda: False)
        self.training_s += time.perf_counter() - began_s
        self.draft, self.steps = self._online.current, self._online.attempts * self._steps


def as_answered(record: Record, agreed: Sequence[bool]) -> Record:
    """The record that a device with this draft would have left."""
    fates = tuple(Fate.ACCEPTED if flag else Fate.CORRECTED for flag in agreed)
    return replace(record, fates=fates)
