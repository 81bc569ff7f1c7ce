"""The process in which a new draft is tried: what breaks here breaks nothing else.

One JSON object on standard input says which drafts and which texts, one on standard output what
they chose; the first argument is a pipe whose other end is held for as long as anybody wants to
know. It judges nothing.
"""

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from outrider_edge.audit import draft_choices
from outrider_edge.draft import Detail, Leaf
from outrider_edge.errors import DraftError, EdgeError
from outrider_edge.llama.adapter import Adapter
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.llama.model import Model
from outrider_protos.words import Sampling

_BATCH: Final = 8
_LEAST_CONTEXT: Final = 64  # tokens
_NICENESS: Final = 10  # answers come first
_SURE_S: Final = 0.05  # of a processor, that a pace is told by: some clocks tick in hundredths


class _Tried:
    """One draft, and what it chose so far."""

    def __init__(self, file: str, adapter: str | None, settings: ContextSettings) -> None:
        model = Model(Path(file))
        laid = None if adapter is None else Adapter(model, Path(adapter))
        self._draft = LlamaDraft(model, settings, laid)
        self._steps_s: list[float] = []
        self._spent_s, self._spent_tokens = 0.0, 0  # in the window that is open
        self._choices: list[list[int] | None] = []

    def along(self, text: Mapping[str, Any]) -> None:
        """Token after token; None where it breaks down."""
        sampling = Sampling(**text["sampling"])
        room = max(0, self._draft.context_tokens - len(text["prompt"]))
        tokens = tuple(text["tokens"][:room])
        try:
            began_s = time.process_time()
            choices = draft_choices(self._draft, text["prompt"], tokens, sampling)
        except DraftError:
            self._choices.append(None)
            return
        self._spent_s += time.process_time() - began_s
        self._spent_tokens += len(tokens)
        self._choices.append(list(choices))

    @property
    def is_sure(self) -> bool:
        """Whether the window tells a pace."""
        return self._spent_s >= _SURE_S and self._spent_tokens > 0

    def close_window(self) -> None:
        self._steps_s.append(self._spent_s / self._spent_tokens)
        self._spent_s, self._spent_tokens = 0.0, 0

    def batch(self, tokens: Sequence[int]) -> int:
        """The choice after several tokens that are decoded at once."""
        self._draft.begin(tokens[: _BATCH + 1], Sampling())
        (expansion,) = self._draft.expand([Leaf(0, 0, tokens[: _BATCH + 1][-1])], Detail())
        return expansion.candidates[0].token

    def findings(self) -> dict[str, object]:
        # Time of the processor, and the fastest: a busy machine makes any draft slow, none fast.
        return {"choices": self._choices, "step_s": min(self._steps_s, default=0.0)}


def tried(job: Mapping[str, Any]) -> dict[str, object]:
    """All drafts take turns at every text, so that a busy moment slows all of them."""
    settings = ContextSettings(tokens=_longest(job), threads=job["threads"])
    drafts = [_Tried(one["file"], one["adapter"], settings) for one in job["drafts"]]
    for text in job["texts"]:
        for draft in drafts:
            draft.along(text)
        if all(draft.is_sure for draft in drafts):  # of the same texts
            for draft in drafts:
                draft.close_window()
    batches = [drafts[0].batch(tokens) for tokens in job["batches"]]
    return {"drafts": [draft.findings() for draft in drafts], "batches": batches}


def _longest(job: Mapping[str, Any]) -> int:
    """Contexts hold no more than is tried: a device has room for one of full length."""
    texts = (len(text["prompt"]) + len(text["tokens"]) for text in job["texts"])
    return max(_LEAST_CONTEXT, max(texts, default=0))


def _end_with(line: int) -> None:
    os.read(line, 1)  # nothing is ever said: this returns when the other end is closed
    os._exit(1)


def _limit(processor_s: int) -> None:
    """A machine that stands still costs no time of a processor, a draft without end does."""
    soft_s, hard_s = resource.getrlimit(resource.RLIMIT_CPU)
    if soft_s == resource.RLIM_INFINITY or soft_s > processor_s:
        resource.setrlimit(resource.RLIMIT_CPU, (processor_s, hard_s))


def main() -> None:
    os.nice(_NICENESS)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    job = json.load(sys.stdin)
    _limit(job["limit_s"])
    try:
        said = tried(job)
    except EdgeError as error:
        said = {"error": str(error)}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
