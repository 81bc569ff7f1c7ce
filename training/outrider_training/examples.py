"""What a draft learns from: an answer with what the target thought of every position, and many of
them as padded tensors.

It knows neither files nor models. The logits at position i predict token i + 1: the first judged
position of an answer is predicted at the last token of its prompt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from outrider_cloud.records.record import Fate, Record, Tops
from outrider_training.losses import Opinion


class Positions(Enum):
    """Which positions of an answer count."""

    ALL = "all"
    REJECTED = "rejected"  # as in the paper: where the draft's proposal did not stand


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """How much a position counts."""

    positions: Positions = Positions.ALL
    rejected: float = 1.0  # of positions whose proposal did not stand; others count 1

    def of(self, fates: Sequence[Fate]) -> NDArray[np.float32]:
        """A weight for each."""
        others = 1.0 if self.positions is Positions.ALL else 0.0
        rejected = [fate is Fate.CORRECTED for fate in fates]
        return np.where(rejected, self.rejected, others).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One answer. `choices`, `tops` and `weights` belong to the positions of `tokens`."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    choices: tuple[int, ...]
    tops: Tops
    weights: NDArray[np.float32]
    domain: str
    time_s: float
    tenant: str = ""

    @classmethod
    def of(cls, record: Record, weighting: Weighting) -> "Example":
        """A record's."""
        return cls(
            record.prompt,
            record.tokens,
            record.choices,
            record.tops,
            weighting.of(record.fates),
            record.domain or "",
            record.time_s,
            record.tenant,
        )

    @property
    def length(self) -> int:
        """Of prompt and answer together."""
        return len(self.prompt) + len(self.tokens)

    @property
    def weight(self) -> float:
        """Of all positions together."""
        return float(self.weights.sum())

    def within(self, most: int) -> "Example | None":
        """As much of it as fits into `most` tokens; none if that leaves nothing to learn."""
        keep = min(len(self.tokens), most - len(self.prompt))
        if keep <= 0 or not self.weights[:keep].any():
            return None
        if keep == len(self.tokens):
            return self
        tops = Tops(self.tops.tokens[:keep], self.tops.logprobs[:keep], self.tops.tails[:keep])
        choices, weights = self.choices[:keep], self.weights[:keep]
        return replace(self, tokens=self.tokens[:keep], choices=choices, tops=tops, weights=weights)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows and the positions that count.

    `inputs` int64 [rows, length]; the others have an entry for each of N counted positions: where
    its logits are in the flattened rows, the target's opinion, its weight, its example's row.
    """

    inputs: Tensor
    at: Tensor
    opinion: Opinion
    weights: Tensor
    rows: Tensor


def padded(examples: Sequence[Example]) -> Batch:
    """One batch of all. Every example must have a position that counts."""
    length = max(example.length for example in examples) - 1
    inputs = torch.zeros(len(examples), length, dtype=torch.long)
    at, rows, counted = [], [], []
    for row, example in enumerate(examples):
        inputs[row, : example.length - 1] = torch.tensor((example.prompt + example.tokens)[:-1])
        counts = np.flatnonzero(example.weights)
        counted.append(counts)
        at.append(row * length + len(example.prompt) - 1 + counts)
        rows.append(np.full(len(counts), row))
    pairs = list(zip(examples, counted, strict=True))
    return Batch(
        inputs,
        torch.from_numpy(np.concatenate(at)),
        Opinion(
            torch.from_numpy(np.concatenate([e.tops.tokens[c] for e, c in pairs])).long(),
            torch.from_numpy(np.concatenate([e.tops.logprobs[c] for e, c in pairs])),
            torch.from_numpy(np.concatenate([e.tops.tails[c] for e, c in pairs])),
            torch.from_numpy(np.concatenate([np.asarray(e.choices)[c] for e, c in pairs])),
        ),
        torch.from_numpy(np.concatenate([e.weights[c] for e, c in pairs])),
        torch.from_numpy(np.concatenate(rows)),
    )


def micro_batches(examples: Sequence[Example], most_tokens: int) -> Iterator[list[Example]]:
    """Groups of similar length, each of at most this many tokens with padding, or a single one."""
    group: list[Example] = []
    for example in sorted(examples, key=lambda each: each.length):
        if group and (len(group) + 1) * example.length > most_tokens:
            yield group
            group = []
        group.append(example)
    if group:
        yield group
