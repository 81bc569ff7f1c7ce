"""What our draft adapter costs over a bare `llama_decode` loop, at a real model's size.

Random weights in the shape of a 0.5 B model with a vocabulary of 151,936. Four loops take turns, a
few steps each, on one core: `llama_decode` alone; with an argmax; the adapter; the whole device
loop in local mode. Writes a table:

    python -m bench.draft_overhead --output docs/results/draft-overhead.md
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.bare_draft import BareDraft
from bench.pin import Place, where
from bench.random_gguf import Shape, write_random_gguf
from bench.report import Report
from bench.samples import ratio_of_medians
from outrider_edge.draft import Detail, Leaf
from outrider_edge.generation import Generation
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.llama.model import Model
from outrider_edge.request import Request
from outrider_edge.solo import Solo
from outrider_protos.words import Sampling

_PROMPT = tuple(range(1000, 1064))
_CONTEXT = 1024

Loop = Callable[[int], list[float]]
"""Seconds of each of so many steps, from the prompt's end on."""


def bare_loop(draft: BareDraft, *, argmax: bool) -> Loop:
    """The same token again and again, or the most likely one."""

    def run(steps: int) -> list[float]:
        draft.restart()
        token = draft.choose(_PROMPT, 0)
        seconds = []
        for at in range(len(_PROMPT), len(_PROMPT) + steps):
            begun = time.perf_counter()
            if argmax:
                token = draft.choose((token,), at)
            else:
                draft.feed((token,), at)
            seconds.append(time.perf_counter() - begun)
        return seconds

    return run


def adapter_loop(draft: LlamaDraft) -> Loop:
    """A chain of proposals, one leaf expanded after the other."""

    def run(steps: int) -> list[float]:
        draft.begin(_PROMPT, Sampling())
        leaf = Leaf(node=0, parent=0, token=_PROMPT[-1])
        seconds = []
        for _ in range(steps + 1):
            begun = time.perf_counter()
            expansion = draft.expand((leaf,), Detail())[0]
            seconds.append(time.perf_counter() - begun)
            token = expansion.candidates[0].token
            leaf = Leaf(node=leaf.node + 1, parent=leaf.node, token=token)
        return seconds[1:]  # the first one read the prompt

    return run


def device_loop(draft: LlamaDraft) -> Loop:
    """Local mode: the generation's own steps around the adapter."""

    def run(steps: int) -> list[float]:
        request = Request(
            session=bytes(16),
            log=_PROMPT,
            max_length=len(_PROMPT) + steps + 2,
            end_ids=frozenset(),
        )
        generation = Generation(Solo(request), draft=draft, dialer=None, sink=lambda _events: None)
        seconds = []
        for _ in range(steps + 1):
            begun = time.perf_counter()
            generation.step(lambda: None)
            seconds.append(time.perf_counter() - begun)
        return seconds[1:]

    return run


@contextmanager
def open_loops(path: Path) -> Iterator[dict[str, Loop]]:
    """The loops that are compared, by name; the first is what the others are divided by."""
    settings = ContextSettings(tokens=_CONTEXT)
    with (
        BareDraft(path, _CONTEXT) as bare,
        Model(path) as model,
        LlamaDraft(model, settings) as draft,
    ):
        yield {
            "`llama_decode` alone": bare_loop(bare, argmax=False),
            "`llama_decode` and argmax": bare_loop(bare, argmax=True),
            "the adapter": adapter_loop(draft),
            "local mode, the whole device loop": device_loop(draft),
        }


def measure(loops: dict[str, Loop], turns: int, steps: int) -> dict[str, list[float]]:
    """Seconds of all steps by loop; the loops take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for loop in loops.values():
        loop(steps)  # caches and frequency settle
    for _ in range(turns):
        for name, loop in loops.items():
            seconds[name] += loop(steps)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="The adapter against a bare llama_decode loop.")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    Place(core=arguments.core).take()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.gguf"
        write_random_gguf(path, Shape())
        size_mb = path.stat().st_size / 1e6
        with open_loops(path) as loops:
            seconds = measure(loops, arguments.turns, arguments.steps)
            place = where(os.getpid())
    report = Report("Drafting: our adapter against a bare loop", sys.argv)
    report.say(
        f"Random weights, {size_mb:.0f} MB of q8_0 in the shape of Qwen2-0.5B, vocabulary "
        f"{Shape().vocabulary:,}; one thread, {place}. {arguments.turns} turns of "
        f"{arguments.steps} steps each, from position {len(_PROMPT)} on. Ratios are of medians, "
        "with the 95 % interval of a bootstrap."
    )
    base = next(iter(seconds.values()))
    report.table(
        ("loop", "ms a token, median", "over `llama_decode` alone"),
        [
            (name, f"{1000 * median(taken):.2f}", str(ratio_of_medians(taken, base)))
            for name, taken in seconds.items()
        ],
    )
    report.write(arguments.output)


if __name__ == "__main__":
    main()
