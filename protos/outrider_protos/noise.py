"""The shared noise: a Gumbel variate for every (seed, log index, token id), the same everywhere.

The hash is made of 64-bit integers alone, so that it is bit-identical on every machine; one
conversion to float64 follows. `docs/noise.md` is the specification, with test vectors. This module
does not know what the noise is added to.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

GOLDEN = 0x9E3779B97F4A7C15  # odd, 2^64 / golden ratio: the step of splitmix64
INDEX_OFFSET = 0xD1B54A32D192ED03  # keeps index 0 away from the finaliser's fixed point 0
MULTIPLIER_1 = 0xBF58476D1CE4E5B9  # splitmix64's finaliser (Steele, Lea, Flood 2014; Stafford's 13)
MULTIPLIER_2 = 0x94D049BB133111EB
UNIFORM_DIVISOR = float((1 << 32) + 1)
# ln(2^32 + 1): the largest variate but for rounding, which makes it smaller. No noise exceeds it.
MAX_GUMBEL = 22.18070977815108

_GOLDEN = np.uint64(GOLDEN)
_INDEX_OFFSET = np.uint64(INDEX_OFFSET)
_MULTIPLIER_1 = np.uint64(MULTIPLIER_1)
_MULTIPLIER_2 = np.uint64(MULTIPLIER_2)


def keys(seed: int, indices: ArrayLike) -> NDArray[np.uint64]:
    """One 64-bit key per log index, shaped like `indices` but at least 1-d; `seed` has 64 bits."""
    state = np.atleast_1d(np.asarray(indices, dtype=np.uint64)) * _GOLDEN
    state += _INDEX_OFFSET
    _mix(state)
    state ^= np.uint64(seed)
    _mix(state)
    return state


def hashes(keys: NDArray[np.uint64], tokens: ArrayLike) -> NDArray[np.uint64]:
    """32-bit hashes in uint64; `keys` and `tokens` broadcast against each other."""
    state = keys + np.atleast_1d(np.asarray(tokens, dtype=np.uint64)) * _GOLDEN
    _mix(state)
    state >>= np.uint64(32)
    return state


def gumbel(seed: int, indices: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
    """Standard Gumbel variates, at least 1-d; `indices` and `tokens` broadcast."""
    return gumbel_of(hashes(keys(seed, indices), tokens))


def gumbel_of(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The variates of 32-bit hashes: u = (h + 1) / (2^32 + 1) is never 0 or 1."""
    values = hashes.astype(np.float64)
    values += 1.0
    values /= UNIFORM_DIVISOR
    for _ in range(2):  # g = -log(-log(u))
        np.log(values, out=values)
        np.negative(values, out=values)
    return values


def least_hash(gumbel: float) -> int:
    """No smaller hash has a variate of at least `gumbel`; a little low, to be safe of rounding."""
    uniform = math.exp(-math.exp(min(-gumbel, 5.0)))
    return max(0, int(uniform * UNIFORM_DIVISOR) - 16)


def _mix(state: NDArray[np.uint64]) -> None:
    """The finaliser, in place. Arrays wrap around silently; numpy's scalars would warn."""
    state ^= state >> np.uint64(30)
    state *= _MULTIPLIER_1
    state ^= state >> np.uint64(27)
    state *= _MULTIPLIER_2
    state ^= state >> np.uint64(31)
