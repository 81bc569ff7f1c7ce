"""A GGUF draft over a recorded answer, just as a device would run it: which of its choices, given
the committed text before them, are the committed tokens.

It runs the device's own adapter, a token at a time, with the answer's own sampling. It judges
nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from outrider_edge.audit import draft_choices
from outrider_edge.errors import DraftError
from outrider_edge.llama.adapter import Adapter, is_adapter
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.llama.model import Model
from outrider_protos.words import Sampling
from outrider_training.errors import BaseMissingError


@dataclass(frozen=True, slots=True)
class Replay:
    """One answer: whether the draft's choice is the committed token, position by position."""

    agreed: tuple[bool, ...]
    step_s: float  # of one draft step, the prompt's share included


@dataclass(frozen=True, slots=True)
class Candidate:
    """What drafts: a GGUF file, with an adapter over it perhaps."""

    draft: Path
    adapter: Path | None = None

    @classmethod
    def of(cls, file: Path, base: Path | None) -> "Candidate":
        """The file, over `base` if it is an adapter. Raises BaseMissingError, EdgeError."""
        if not is_adapter(read_header(file)):
            return cls(file)
        if base is None or is_adapter(read_header(base)):
            raise BaseMissingError(file)
        return cls(base, file)


class Replayer:
    """One draft, loaded, under an adapter if there is one. Raises EdgeError for what cannot run."""

    def __init__(self, draft: Path, adapter: Path | None = None) -> None:
        self._model = Model(draft)
        laid = None if adapter is None else Adapter(self._model, adapter)
        self._draft = LlamaDraft(self._model, ContextSettings(), laid)

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

    def replay(self, prompt: Sequence[int], answer: tuple[int, ...], sampling: Sampling) -> Replay:
        """As far as the draft's context goes: from there on no choice is right. A draft whose
        logits are no numbers is right nowhere.
        """
        room = max(0, self._draft.context_tokens - len(prompt))
        tokens, began_s = answer[:room], time.perf_counter()
        try:
            choices = draft_choices(self._draft, prompt, tokens, sampling)
        except DraftError:
            choices = ()
        step_s = (time.perf_counter() - began_s) / max(1, len(tokens))
        agreed = [one == two for one, two in zip(choices, tokens, strict=False)]
        return Replay((*agreed, *(False,) * (len(answer) - len(agreed))), step_s)
