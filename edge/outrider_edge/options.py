"""What a caller may choose for a session: one frozen value, checked when it is made.

It turns choices into the loop's request and policy, and knows nothing of models or connections.
"""

import secrets
from dataclasses import dataclass, field
from enum import Enum

from outrider_edge.errors import BadSettings
from outrider_edge.generation import Endurance
from outrider_edge.policy import Fallback, Policy, Shape
from outrider_protos.limits import (
    MAX_NAME_BYTES,
    MAX_PATIENCE_MS,
    MAX_RUN_AHEAD,
    MAX_SEED,
    MIN_TEMPERATURE,
)
from outrider_protos.words import Rollback, Sampling, Wants

# Big-Little is about cost: what the draft is sure of is judged late and in one pass.
BIG_LITTLE_SPAN = 32
BIG_LITTLE_WINDOW = 64


class Mode(Enum):
    """Who writes, and who has the last word."""

    EXACT = "exact"  # the draft writes ahead, the text is the target's
    BIG_LITTLE = "big-little"  # the draft writes, the target corrects what it cannot accept
    LOCAL = "local"  # the draft alone; nothing leaves the device
    CLOUD = "cloud"  # the target alone, streamed


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How answers of a session are made."""

    mode: Mode = Mode.EXACT
    max_tokens: int = 512
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None  # None: 64 fresh random bits for each answer
    stop: tuple[str, ...] = ()
    shape: Shape = Shape()
    fallback: Fallback = Fallback(threshold=0.6)
    rollback: Rollback = Rollback(threshold=2.0)
    patience_ms: float | None = None  # None: cost first, the cloud never decodes unasked
    run_ahead: int = 256
    wants: Wants = Wants()
    consent: bool = False  # the cloud may keep these answers to learn from
    domain: str | None = None  # what they are about, for whoever learns from them
    endurance: Endurance = field(default_factory=Endurance)

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise BadSettings(f"max_tokens is {self.max_tokens}, not at least 1")
        if self.temperature != 0 and not MIN_TEMPERATURE <= self.temperature < float("inf"):
            wanted = f"not 0 and not {MIN_TEMPERATURE:g} or more"
            raise BadSettings(f"the temperature is {self.temperature}, {wanted}")
        if self.top_k is not None and self.top_k < 1:
            raise BadSettings(f"top_k is {self.top_k}, not at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise BadSettings(f"top_p is {self.top_p}, not above 0 and at most 1")
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise BadSettings("the seed does not fit 64 bits")
        if not 0 <= self.rollback.threshold < float("inf"):
            raise BadSettings(f"the rollback threshold is {self.rollback.threshold}, not 0 or more")
        if self.patience_ms is not None and not 0 <= self.patience_ms <= MAX_PATIENCE_MS:
            raise BadSettings(f"the patience is {self.patience_ms} ms, not 0 to a day")
        if self.domain is not None and len(self.domain.encode()) > MAX_NAME_BYTES:
            raise BadSettings(f"the domain has more than {MAX_NAME_BYTES} bytes")
        if not 1 <= self.run_ahead <= MAX_RUN_AHEAD:
            raise BadSettings(f"run_ahead is {self.run_ahead}, not 1 to {MAX_RUN_AHEAD}")

    def sampling(self) -> Sampling:
        """The sampling of one answer, with a seed of its own where none was given."""
        return Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=secrets.randbits(64) if self.seed is None else self.seed,
        )

    def policy(self) -> Policy:
        if self.mode is Mode.BIG_LITTLE:
            return Policy(shape=_written_out(self.shape), fallback=self.fallback)
        return Policy(shape=self.shape)

    @property
    def cloud_patience_ms(self) -> float | None:
        """Big-Little judges when asked to, the cloud alone never waits for a draft."""
        if self.mode is Mode.CLOUD:
            return 0.0
        return None if self.mode is Mode.BIG_LITTLE else self.patience_ms


def _written_out(shape: Shape) -> Shape:
    """Big-Little writes one text; its longest span is the caller's, or long."""
    window = shape.window or max(BIG_LITTLE_WINDOW, shape.span or 0)
    return Shape(span=shape.span or min(BIG_LITTLE_SPAN, window), window=window)
