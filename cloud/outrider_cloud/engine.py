"""What an engine is: one forward for many sessions, and what comes back of it.

An engine owns the target model and its KV cache and knows nothing of logs, streams or patience: it
is told what to feed, says what the target would write, and forgets what it is told to forget. All
calls come from one worker thread. This module imports no tensor library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from outrider_cloud.records.record import Tops
from outrider_protos.words import Rollback, Sampling, TopRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one session needs of the next forward.

    `prefix` are committed tokens whose KV is missing, at positions `past`, `past + 1`, ...
    `nodes` are proposed tokens; `parents[i]` is 0 for a child of the last prefix token and j for a
    child of `nodes[j - 1]`; parents come before their children.
    """

    session: int  # the engine's handle of a KV sequence
    past: int  # tokens whose KV stands; the engine drops any beyond
    prefix: tuple[int, ...]  # at least one
    nodes: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    judge: bool = True  # False: an early chunk of a prompt, no row is wanted
    sampling: Sampling = Sampling()
    rollback: Rollback | None = None
    top: tuple[TopRow, ...] | None = None  # one per node, for the distances that need it
    logprobs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the target says to one Work that asked to judge.

    Row 0 follows the last prefix token, row i follows node i. Choices are made at the log index the
    row's next token would have: `past + len(prefix) + depth(node)`.
    """

    choices: tuple[int, ...]  # 1 + len(nodes)
    distances: tuple[float, ...] | None = None  # per node, under its parent's row; if rollback
    choice_logprobs: tuple[float, ...] | None = None  # per row, temperature 1, no filters
    node_logprobs: tuple[float, ...] | None = None  # per node, under its parent's row


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What the engine can hold. KV is handed out in whole pages."""

    pages: int
    page_tokens: int
    context_tokens: int
    vocab_size: int  # token ids below this may be fed
    end_ids: frozenset[int]


class Engine(Protocol):
    """One target model. Raises `errors.EngineError` (or below) when a forward fails."""

    @property
    def limits(self) -> EngineLimits: ...

    def forward(self, batch: Sequence[Work]) -> list[Verdict | None]:
        """One forward over all works, verdicts in the same order (None where `judge` is False).

        Afterwards a session's KV holds `past + len(prefix)` tokens and its nodes provisionally.
        """

    def hold(self, session: int, rows: Sequence[int]) -> None:
        """Keep logits of rows that the last forward judged, until `tops`. Before the next one."""

    def tops(self) -> Tops:
        """The likeliest tokens after all rows that are held, in that order; at least one is.

        Many rows at once cost a fraction of one at a time. They are not held any more.
        """

    def keep(self, session: int, nodes: Sequence[int]) -> None:
        """Of the nodes of the session's last forward, these (1-based, a path) become KV."""

    def release(self, session: int) -> None:
        """Forget the session's KV; an unknown session is fine."""
