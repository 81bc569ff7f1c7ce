"""What the target would have chosen along a text that is already there, position by position.

The text is proposed as if a draft had written it, everything stands, and the cloud tells its
choices. What a difference means is for others to say.
"""

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from outrider_edge.answer import Result
from outrider_edge.device import Device
from outrider_edge.draft import Candidate, Detail, Expansion, Leaf
from outrider_edge.errors import CloudUnavailable, DraftError, ProtocolError
from outrider_edge.events import Origin
from outrider_edge.options import Mode, Options
from outrider_edge.policy import Fallback, Shape
from outrider_edge.text import Token
from outrider_protos.words import Rollback, Sampling, Wants

_CHUNK = 64  # positions asked about at a time
_ANYTHING_STANDS = Rollback(threshold=1e6)
_NEVER_UNSURE = Fallback(threshold=0.0)


class TargetChoices:
    """Borrows a session of the device. `sampling` is that of the text, seed included."""

    def __init__(self, device: Device, sampling: Sampling = Sampling()) -> None:
        self._script = Script()
        self._session = device.session(_forced(sampling), draft=self._script)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the session back."""
        self._session.close()

    def along(self, log: tuple[int, ...], start: int) -> tuple[int, ...]:
        """The target's choice at each position from `start` on. Raises what a session raises."""
        choices: list[int] = []
        while (at := start + len(choices)) < len(log):
            choices += self._ask_chunk(log[: at + _CHUNK], at)
        return tuple(choices)

    def _ask_chunk(self, log: tuple[int, ...], at: int) -> list[int]:
        """Choices from `at` on: at least one, and as far as the target was led along the log.

        Before it has read any proposal the target may write its own token, which is a choice as
        well; where that leaves the log, the rest must be asked for anew.
        """
        self._script.log = log
        self._session.options = replace(self._session.options, max_tokens=len(log) - at)
        answer = self._session.continue_from(log[:at])
        for event in answer.events():
            if isinstance(event, Token) and event.token != log[event.position]:
                answer.cancel()
        result = answer.result()
        if result.unverified_tokens:
            raise CloudUnavailable("the cloud went away while it was asked for its choices")
        choices = _told(result, log)
        if not choices:
            raise ProtocolError("the cloud did not tell the target's choices")
        return choices


def _told(result: Result, log: tuple[int, ...]) -> list[int]:
    """The choices that were made along the log."""
    choices = []
    for offset, position in enumerate(range(len(result.prompt), len(log))):
        choice = result.choices.get(position)
        own = offset < len(result.tokens) and (
            offset == 0 or result.origins[offset] is Origin.TARGET
        )
        if choice is None and not own:
            break
        choices.append(result.tokens[offset] if choice is None else choice)
        if offset >= len(result.tokens) or result.tokens[offset] != log[position]:
            break
    return choices


class Script:
    """A `Draft` that writes a given text, whatever any model would say."""

    def __init__(self) -> None:
        self.log: tuple[int, ...] = ()
        self._base = 0
        self._depths = {0: 0}

    def begin(self, log: Sequence[int], sampling: Sampling) -> None:
        """Raises DraftError when the log is not a beginning of the text."""
        if tuple(log) != self.log[: len(log)]:
            raise DraftError("the log left the text")
        self._base, self._depths = len(log), {0: 0}

    def expand(self, leaves: Sequence[Leaf], detail: Detail) -> list[Expansion]:
        """Raises DraftError at the end of the text."""
        return [self._next(leaf) for leaf in leaves]

    def prune(self, node: int) -> None:
        """There is one branch only."""

    def _next(self, leaf: Leaf) -> Expansion:
        if leaf.node:
            self._depths[leaf.node] = self._depths[leaf.parent] + 1
        position = self._base + self._depths[leaf.node]
        if position >= len(self.log):
            raise DraftError("the text is at its end")
        return Expansion(candidates=(Candidate(self.log[position], 1.0),), max_probability=1.0)


def _forced(sampling: Sampling) -> Options:
    """Every proposal stands, and what the target would have chosen is told."""
    return Options(
        mode=Mode.BIG_LITTLE,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        seed=sampling.seed,
        shape=Shape(span=_CHUNK, window=_CHUNK),
        fallback=_NEVER_UNSURE,
        rollback=_ANYTHING_STANDS,
        wants=Wants(choices=True),
    )
