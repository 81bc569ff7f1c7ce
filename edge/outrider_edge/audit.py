"""What draft and target would each have chosen along a finished answer, position by position.

Two teacher-forced passes, outside whatever was timed. It judges no answer: what the shares mean is
for others to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from outrider_edge.answer import Result
from outrider_edge.device import Device
from outrider_edge.draft import Detail, Draft, Leaf
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.target_choices import TargetChoices
from outrider_protos.words import Sampling


@dataclass(frozen=True, slots=True)
class Audit:
    """Choices along one answer, all of the same length."""

    answer: tuple[int, ...]
    draft: tuple[int, ...]
    target: tuple[int, ...]

    @property
    def agreed(self) -> int:
        """Positions at which draft and target choose the same."""
        return sum(d == t for d, t in zip(self.draft, self.target, strict=True))


class Auditor:
    """Borrows a device. `sampling` is that of the answers, seed included."""

    def __init__(self, device: Device, sampling: Sampling = Sampling()) -> None:
        self._sampling = sampling
        self._draft = LlamaDraft(device.model, ContextSettings())
        self._choices = TargetChoices(device, sampling)
        self._known: dict[tuple[int, ...], tuple[int, ...]] = {}  # whole log -> target's choices

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._choices.close()
        self._draft.close()

    def audit(self, result: Result, *, by_target: bool) -> Audit:
        """`by_target`: the answer is the target's own, as in exact mode; nothing is asked then."""
        tokens = result.tokens
        target = tokens if by_target else self.target_choices(result)
        draft = draft_choices(self._draft, result.prompt, tokens, self._sampling)
        return Audit(tokens, draft, target)

    def target_choices(self, result: Result) -> tuple[int, ...]:
        """The target's choice at every position of the answer. Raises what a session raises."""
        log = result.prompt + result.tokens
        if log not in self._known:
            self._known[log] = self._choices.along(log, len(result.prompt))
        return self._known[log]


def draft_choices(
    draft: Draft, prompt: Sequence[int], answer: Sequence[int], sampling: Sampling
) -> tuple[int, ...]:
    """What the draft would write at every position of the answer, given the answer so far.

    Raises ContextFull where the text does not fit the draft's context.
    """
    draft.begin(prompt, sampling)
    choices = []
    parent, node, token = 0, 0, prompt[-1]
    for following in answer:
        (expansion,) = draft.expand([Leaf(node, parent, token)], Detail())
        choices.append(expansion.candidates[0].token)
        parent, node, token = node, node + 1, following
    return tuple(choices)
