"""One answer as training sees it: what was committed, what the target thought, how it came about.

Plain values and arrays. It knows neither files nor who reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from outrider_protos.words import Rollback, Sampling

TOP_TOKENS = 64  # of the target's distribution that are kept at each position


class Fate(IntEnum):
    """How a committed token came to stand."""

    OWN = 0  # nobody had proposed one there in time
    ACCEPTED = 1  # it was proposed, and stood
    CORRECTED = 2  # another was proposed and did not stand


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What took part in an answer, so that records of different makes are never mixed unseen."""

    target: str
    tokenizer: bytes  # fingerprint
    runtime: str
    draft: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tops:
    """The target's most likely tokens after each of some prefixes: temperature 1, no filters.

    `tokens` int32 and `logprobs` float32 are [positions, TOP_TOKENS or the vocabulary if smaller],
    the likeliest first; `tails` float32 [positions] is the mass of all others.
    """

    tokens: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    tails: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.tails)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tops) and all(
            np.array_equal(one, two)
            for one, two in (
                (self.tokens, other.tokens),
                (self.logprobs, other.logprobs),
                (self.tails, other.tails),
            )
        )

    def split(self, sizes: Sequence[int]) -> "list[Tops]":
        """Parts of these many positions, one after the other."""
        ends = np.cumsum(sizes)[:-1]
        columns = (np.split(column, ends) for column in (self.tokens, self.logprobs, self.tails))
        return [Tops(*part) for part in zip(*columns, strict=True)]

    @classmethod
    def joined(cls, parts: Sequence["Tops"]) -> Self:
        """One after the other. Raises ValueError for none, or for different widths."""
        return cls(
            np.concatenate([part.tokens for part in parts]),
            np.concatenate([part.logprobs for part in parts]),
            np.concatenate([part.tails for part in parts]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All committed positions of one generation. Raises ValueError if their columns differ."""

    tenant: str
    time_s: float  # Unix, when the generation began
    versions: Versions
    prompt: tuple[int, ...]  # the log before the first of them
    tokens: tuple[int, ...]
    choices: tuple[int, ...]  # the target's; others than the tokens in Big-Little mode alone
    fates: tuple[Fate, ...]
    tops: Tops
    sampling: Sampling = field(default_factory=Sampling)
    rollback: Rollback | None = None  # None: exact mode
    fallback: float | None = None  # the device's threshold in Big-Little mode
    domain: str | None = None

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.tokens, self.choices, self.fates, self.tops)}
        if len(lengths) != 1:
            raise ValueError("the columns of a record must be of one length")

    @property
    def exact(self) -> bool:
        """The text depends on target and seed alone, so that it can be replayed with any draft."""
        return self.rollback is None or self.rollback.threshold == 0

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return 4 * (len(self.prompt) + 3 * len(self.tokens)) + 8 * self.tops.tokens.size
