"""A GGUF draft over a recorded answer, just as a device would run it: which of its choices, given
the committed text before them, are the committed tokens.

It runs the device's own adapter, a token at a time, with the answer's own sampling. It judges
nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from outrider_cloud.records.record import Record
from outrider_edge.draft import Detail, Leaf
from outrider_edge.errors import ContextFull
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.llama.model import Model


@dataclass(frozen=True, slots=True)
class Replay:
    """One answer: whether the draft's choice is the committed token, position by position."""

    agreed: tuple[bool, ...]
    step_s: float  # of one draft step, the median; the prompt's is not counted


class Replayer:
    """One draft, loaded. Raises EdgeError for a file that cannot be run."""

    def __init__(self, draft: Path, threads: int = 1) -> None:
        self._model = Model(draft)
        self._draft = LlamaDraft(self._model, ContextSettings(threads=threads))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draft.close()
        self._model.close()

    def replay(self, record: Record) -> Replay:
        """As far as the draft's context goes: from there on no choice is right."""
        agreed: list[bool] = []
        seconds: list[float] = []
        try:
            for choice, took_s in self._choices(record):
                agreed.append(choice == record.tokens[len(agreed)])
                seconds.append(took_s)
        except ContextFull:
            agreed += [False] * (len(record.tokens) - len(agreed))
        return Replay(tuple(agreed), median(seconds[1:] or seconds or [0.0]))

    def _choices(self, record: Record) -> Iterator[tuple[int, float]]:
        self._draft.begin(record.prompt, record.sampling)
        fed = (record.prompt[-1], *record.tokens[:-1])
        for node, token in enumerate(fed):
            began_s = time.perf_counter()
            leaf = Leaf(node=node, parent=max(0, node - 1), token=token)
            (expansion,) = self._draft.expand([leaf], Detail())
            yield expansion.candidates[0].token, time.perf_counter() - began_s
