"""How far and how wide to draft, and when to have it judged. Numbers and one rule, no state.

Big-Little's fallback (Kim et al., section 3): the device hands over where its confidence falls
below a threshold. Confidences use the untempered, untruncated softmax.
"""

import math
from dataclasses import dataclass
from enum import Enum

from outrider_edge.draft import Detail, Expansion
from outrider_edge.errors import BadSettings
from outrider_protos.limits import MAX_EPOCH_NODES
from outrider_protos.words import Distance, Rollback

_MOST = {"span": 256, "window": 1024, "width": 64, "branches": 64}


class Signal(Enum):
    """What counts as the draft's confidence, in (0, 1]."""

    MAX_PROBABILITY = "max-probability"  # of the next token: the paper's choice
    PRODUCT = "product"  # of the tokens written since the last hand-over
    ENTROPY = "entropy"  # exp(-entropy): 1 when certain, 1/n for n equally likely tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Big-Little's device half: write on until the confidence falls below the threshold."""

    threshold: float  # alpha_fb
    signal: Signal = Signal.MAX_PROBABILITY

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise BadSettings(f"the fallback threshold is {self.threshold}, not between 0 and 1")

    def confidence(self, expansion: Expansion, product: float) -> float:
        """The signal's value for the token about to be written; `product` is that of the span."""
        match self.signal:
            case Signal.MAX_PROBABILITY:
                return expansion.max_probability
            case Signal.PRODUCT:
                return product * expansion.candidates[0].probability
            case Signal.ENTROPY:
                return math.exp(-(expansion.entropy or 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The form of what is drafted. Span and window follow the measured tempo unless given."""

    span: int | None = None  # nodes gathered before they are sent; Big-Little: the longest span
    window: int | None = None  # positions drafted past the log at most
    width: int = 1  # children of a node
    branches: int = 1  # leaves expanded in one decode

    def __post_init__(self) -> None:
        for name in _MOST:
            value = getattr(self, name)
            if value is not None and not 1 <= value <= _MOST[name]:
                raise BadSettings(f"{name} is {value}, not 1 to {_MOST[name]}")
        if self.span is not None and self.window is not None and self.window < self.span:
            raise BadSettings(f"the window ({self.window}) is shorter than the span ({self.span})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that decides about drafting; `fallback` None is exact mode."""

    shape: Shape = Shape()
    fallback: Fallback | None = None
    epoch_nodes: int = MAX_EPOCH_NODES  # proposed before what was proposed must be judged
    unverified_tokens: int = 256  # written at most past the log while the cloud is away

    def __post_init__(self) -> None:
        if self.fallback and (self.shape.width > 1 or self.shape.branches > 1):
            raise BadSettings("Big-Little mode writes one text: width and branches must be 1")

    def detail(self, rollback: Rollback | None, top_tokens: int) -> Detail:
        """What the draft must report for this policy and the cloud's distance to work."""
        needs_top = rollback is not None and rollback.distance is not Distance.SURPRISE
        return Detail(
            width=self.shape.width,
            entropy=self.fallback is not None and self.fallback.signal is Signal.ENTROPY,
            top_tokens=top_tokens if needs_top else 0,
        )
