"""The words device and cloud say to each other, as plain values.

These are the messages of the stream (design: propose and commit on one stream), free of any wire:
the pure cores on both sides speak them, `codec` turns them into protobuf and back. This module does
not know how they travel, nor who sends which when.

Node numbers: an epoch is a growing trie rooted at log position `at`. Node 0 is the root (the log up
to `at`), proposed nodes count from 1 in the order they are proposed.
"""

from dataclasses import dataclass
from enum import Enum


class Distance(Enum):
    """How far a proposed token is from what the target would write (Big-Little, section 3).

    All three use the untempered, untruncated softmax.
    """

    SURPRISE = "surprise"  # -log p(token), in nats: the paper's code
    KULLBACK_LEIBLER = "kullback-leibler"  # KL(q || p) over the draft's top-k and one tail bucket
    TOTAL_VARIATION = "total-variation"  # over the same buckets


class FinishReason(Enum):
    """Why the cloud ended a generation."""

    END_TOKEN = "end_token"  # noqa: S105 - the target wrote its end of text
    STOP_TOKEN = "stop_token"  # noqa: S105 - it wrote one of `Open.stop_ids`
    LENGTH = "length"  # the log reached `Open.max_length`
    CONTEXT = "context"  # the log filled the target's context
    CANCELLED = "cancelled"  # the device sent Cancel
    SUPERSEDED = "superseded"  # the same owner opened the session on another stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a choice is made from a row of logits; temperature 0 is greedy."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0  # 64 bits, unsigned


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """Big-Little: a proposed token stands if it is the target's choice or within `threshold`."""

    threshold: float  # alpha_rb: nats, or a share in [0, 1] for total variation
    distance: Distance = Distance.SURPRISE


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What the device wants told beside the tokens; each costs bytes."""

    choices: bool = False
    logprobs: bool = False
    timings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a device says of an answer that may be recorded. None is what it does not know."""

    domain: str | None = None  # topic or language, in the words of whoever set it
    draft: str | None = None  # which file drafted
    template: str | None = None  # which chat template made the prompt; None for a raw text
    fallback: float | None = None  # Big-Little: the device's threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Starts (or resumes) a generation. The cloud's log of the session is cut at `keep`."""

    session: bytes  # 16 random bytes
    keep: int  # leading tokens the device believes the cloud still has
    length: int  # tokens of the log from which generation starts
    digest: bytes  # of those `length` tokens, see `loghash`
    max_length: int  # the log length at which generation ends
    stop_ids: tuple[int, ...] = ()
    sampling: Sampling = Sampling()
    rollback: Rollback | None = None  # None: exact mode, agreement alone
    patience_ms: float | None = None  # None: infinite
    run_ahead: int = 0  # tokens the cloud may decode past the last Ack
    wants: Wants = Wants()
    consent: bool = False  # committed positions may be recorded for learning
    expected_tokens: int | None = None  # the device's guess of the answer's length
    provenance: Provenance | None = None  # only with consent


@dataclass(frozen=True, slots=True)
class Append:
    """Tokens of the log that the cloud may lack; the part it has is ignored."""

    at: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopRow:
    """The draft's most likely tokens where a node was drafted; the rest of the mass is one tail."""

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Propose:
    """Nodes for the epoch's trie. Without tokens: "decode one token yourself after `at`".

    `parents[i]` is the parent's node number; None is a chain: each node follows the one before,
    and the first of the message follows node `first_node - 1`.
    """

    epoch: int
    at: int
    first_node: int
    tokens: tuple[int, ...]
    parents: tuple[int, ...] | None = None
    top: tuple[TopRow, ...] | None = None  # one row a token, for the distances that need it


@dataclass(frozen=True, slots=True)
class Ack:
    """The device has seen the log up to `length`."""

    length: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ends the generation; the session stays."""


@dataclass(frozen=True, slots=True)
class Close:
    """Ends the session; the cloud forgets its log."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The cloud has the first `have` tokens of the device's log; the device appends the rest."""

    have: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Where the time of one commit went, in milliseconds."""

    queue_ms: float
    forward_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The log now runs along the epoch's path to `node`, then through `tokens`, to `length`.

    Only what is new is meant: the part of the path that the log already covers stays as it is, and
    `tokens` follow the longer of (old log, path to `node`).
    """

    epoch: int
    node: int
    tokens: tuple[int, ...]
    length: int  # of the log after this commit: a check against loss and doubling
    choices: tuple[tuple[int, int], ...] | None = None  # (node, the target's choice after it)
    logprobs: tuple[float, ...] | None = None  # of the newly committed tokens, temperature 1
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The generation ended; the log stands."""

    reason: FinishReason


@dataclass(frozen=True, slots=True)
class GoAway:
    """The cloud is going down or full; come back (or go elsewhere) after the pause."""

    retry_after_ms: int


DeviceWord = Open | Append | Propose | Ack | Cancel | Close
CloudWord = Opened | Commit | Finish | GoAway
