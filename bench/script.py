"""A text that was settled beforehand, and both models replaced by it.

The target writes token n of the script at log index n whatever came before; the draft writes the
same, but for the positions at which it is told to be wrong. Steps take the time they are given. So
acceptance is an input, and everything around the models is real.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outrider_cloud.engine import EngineLimits, Verdict, Work
from outrider_cloud.records.record import Tops
from outrider_edge.draft import Candidate, Detail, Expansion, Leaf
from outrider_protos.words import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Tokens by log index, drawn from a seed; `vocab_size` decides how many bytes an id takes."""

    length: int
    vocab_size: int = 151_936
    seed: int = 0

    def tokens(self) -> list[int]:
        """Id 0 is the end token, which the script does not hold."""
        chance = random.Random(self.seed)
        return [chance.randrange(1, self.vocab_size - 1) for _ in range(self.length)]


class ScriptEngine:
    """An `outrider_cloud.engine.Engine` that has no model."""

    def __init__(self, script: Script, step_s: float, row_s: float) -> None:
        self.limits = EngineLimits(
            pages=4096,
            page_tokens=16,
            context_tokens=script.length,
            vocab_size=script.vocab_size,
            end_ids=frozenset({0}),
        )
        self._tokens = script.tokens()
        self._step_s, self._row_s = step_s, row_s
        self._judged: dict[int, tuple[int, ...]] = {}  # choices of the last forward
        self._held: list[int] = []

    def forward(self, batch: Sequence[Work]) -> list[Verdict | None]:
        """See `Engine.forward`: the first row of a forward takes `step_s`, others `row_s`."""
        rows = sum(1 + len(work.nodes) for work in batch)
        time.sleep(self._step_s + (rows - 1) * self._row_s)
        return [self._judge(work) if work.judge else None for work in batch]

    def _judge(self, work: Work) -> Verdict:
        root = work.past + len(work.prefix)
        depths = [0]
        for parent in work.parents:
            depths.append(depths[parent] + 1)
        choices = tuple(self._tokens[root + depth] for depth in depths)
        self._judged[work.session] = choices
        return Verdict(choices=choices)

    def hold(self, session: int, rows: Sequence[int]) -> None:
        """See `Engine.hold`."""
        self._held += [self._judged[session][row] for row in rows]

    def tops(self) -> Tops:
        """The script is sure of itself."""
        choices = np.array([[choice] for choice in self._held], np.int32)
        self._held = []
        certain = np.zeros(choices.shape, np.float32)
        return Tops(choices, certain, certain[:, 0])

    def keep(self, session: int, nodes: Sequence[int]) -> None:
        """There is no KV."""

    def release(self, session: int) -> None:
        """There is no KV."""


class ScriptDraft:
    """An `outrider_edge.draft.Draft` that is right at a given share of positions."""

    def __init__(self, script: Script, acceptance: float, step_s: float) -> None:
        chance = random.Random(script.seed + 1)
        self._tokens = [
            token if chance.random() < acceptance else token + 1 for token in script.tokens()
        ]
        self._step_s = step_s
        self._root = 0
        self._depths: dict[int, int] = {}

    def begin(self, log: Sequence[int], sampling: Sampling) -> None:
        """See `Draft`."""
        self._root = len(log)
        self._depths = {0: 0}

    def expand(self, leaves: Sequence[Leaf], detail: Detail) -> list[Expansion]:
        """See `Draft`."""
        time.sleep(self._step_s)
        return [self._expand(leaf) for leaf in leaves]

    def _expand(self, leaf: Leaf) -> Expansion:
        if leaf.node:
            self._depths[leaf.node] = self._depths[leaf.parent] + 1
        token = self._tokens[self._root + self._depths[leaf.node]]
        return Expansion(candidates=(Candidate(token, 0.9),), max_probability=0.9)

    def prune(self, node: int) -> None:
        """There is no KV."""
