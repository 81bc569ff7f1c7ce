"""The target in our own engine, fed and timed as the bare one is: what its forwards really take.

It does not know drafts, links or sessions other than its one. One torch thread.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers.utils import logging

from outrider_cloud.engine import Work
from outrider_cloud.target import load_target
from outrider_cloud.transformers_engine.engine import TransformersEngine


class EngineTarget:
    """One transformers folder on the CPU."""

    def __init__(self, folder: Path, dtype: str) -> None:
        logging.disable_progress_bar()
        target = load_target(str(folder), dtype=getattr(torch, dtype))
        self._engine = TransformersEngine(target, threads=1)

    def time_replay(
        self, prompt: Sequence[int], answer: Sequence[int], rows: int
    ) -> tuple[float, list[float]]:
        """See `BareTarget.time_replay`; every row is judged, and what was kept counts."""
        self._engine.release(1)
        prefill_s = self._time(0, prompt, ())
        seconds = [
            self._time(len(prompt) + at, answer[at : at + 1], answer[at + 1 : at + rows])
            for at in range(0, len(answer) - rows + 1, rows)
        ]
        return prefill_s, seconds

    def _time(self, past: int, prefix: Sequence[int], nodes: Sequence[int]) -> float:
        chain = tuple(range(len(nodes)))
        work = Work(session=1, past=past, prefix=tuple(prefix), nodes=tuple(nodes), parents=chain)
        begun = time.perf_counter()
        self._engine.forward([work])
        self._engine.keep(1, [node + 1 for node in chain])
        return time.perf_counter() - begun
