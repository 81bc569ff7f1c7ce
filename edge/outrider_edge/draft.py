"""What a draft is: something that, given the log and a few proposed nodes, says what comes next.

The llama.cpp adapter is one, simulators in the tests are others. A draft knows nothing of the
cloud, of epochs on the wire, or of when it is worth asking; it only ever costs speed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from outrider_protos.words import Sampling, TopRow


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token the draft would write next."""

    token: int
    probability: float  # untempered, untruncated softmax


@dataclass(frozen=True, slots=True)
class Leaf:
    """A node whose continuation is wanted. Node 0 is the root: the log's last token."""

    node: int
    parent: int  # of node 0: 0
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What follows one leaf: candidates in falling order of their noisy score.

    The first is the draft's own choice under shared noise; the next ones are what it would choose
    without the ones before (sampling without replacement).
    """

    candidates: tuple[Candidate, ...]
    max_probability: float  # untempered: the Big-Little confidence
    entropy: float | None = None  # nats, if asked for
    top: TopRow | None = None  # if asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What an expansion shall hold; each costs device time."""

    width: int = 1  # candidates
    entropy: bool = False
    top_tokens: int = 0


class Draft(Protocol):
    """A proposer with KV. Not thread-safe: one worker thread makes all calls.

    Raises `errors.DraftError` when a decode fails and `errors.ContextFull` when the text no longer
    fits; the loop then goes on without drafting.
    """

    def begin(self, log: Sequence[int], sampling: Sampling) -> None:
        """The text is `log` (at least one token) now, and node 0 is its last token.

        Candidates are chosen by `sampling` from here on. Earlier nodes are forgotten, but what is
        common with the KV is kept, along drafted paths too: a prefix is never computed twice.
        """

    def expand(self, leaves: Sequence[Leaf], detail: Detail) -> list[Expansion]:
        """One decode over all leaves, each below an expanded node (or the root itself)."""

    def prune(self, node: int) -> None:
        """The log runs through `node`: other branches that do not pass it may be forgotten."""
