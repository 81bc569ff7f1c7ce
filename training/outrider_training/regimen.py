"""How a student learns: losses by domain, learning rate by step, sizes. Values only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from outrider_training.losses import Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The loss of every domain: one for all, and those that have their own."""

    general: Measure = Measure()
    domains: Mapping[str, Measure] = field(default_factory=dict)

    def of(self, domain: str) -> Measure:
        """The one to use."""
        return self.domains.get(domain, self.general)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regimen:
    """How a student learns."""

    measures: Measures = Measures()
    learning_rate: float = 1e-3
    warmup_steps: int = 20
    decay_steps: int | None = None  # cosine down to a tenth by then; None: constant
    again: bool = False  # and then from the top, again and again: every update of a run ends calmly
    weight_decay: float = 0.0
    micro_tokens: int = 8192  # in one forward, with padding; halved when memory runs out
    bfloat16: bool = False  # products in bfloat16; weights and sums stay float32
    seed: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        if self.decay_steps is None:
            return self.learning_rate * warm
        if self.again:
            step %= self.decay_steps
        done = min(1.0, step / self.decay_steps)
        return self.learning_rate * warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))
