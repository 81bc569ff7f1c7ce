"""The shared noise on tensors: the same integers as `outrider_protos.noise`, on CPU and CUDA.

torch has signed 64-bit integers alone: products and sums wrap around to the same bits, and a right
shift is made unsigned by masking. The one conversion to float64 happens at the end. This module
does not know what the noise is added to.
"""

from torch import Tensor, float64

from outrider_protos.noise import (
    GOLDEN,
    INDEX_OFFSET,
    MULTIPLIER_1,
    MULTIPLIER_2,
    UNIFORM_DIVISOR,
)


def signed(value: int) -> int:
    """The int64 with the bits of an unsigned 64-bit integer."""
    return value - (1 << 64) if value >> 63 else value


_GOLDEN = signed(GOLDEN)
_INDEX_OFFSET = signed(INDEX_OFFSET)
_MULTIPLIER_1 = signed(MULTIPLIER_1)
_MULTIPLIER_2 = signed(MULTIPLIER_2)


def keys(seeds: Tensor, indices: Tensor) -> Tensor:
    """One 64-bit key per (seed, log index); int64 tensors that broadcast, seeds as `signed`."""
    return _mix(_mix(indices * _GOLDEN + _INDEX_OFFSET) ^ seeds)


def hashes(keys: Tensor, tokens: Tensor) -> Tensor:
    """32-bit hashes in int64; `keys` and `tokens` broadcast."""
    return _unsigned_shift(_mix(keys + tokens * _GOLDEN), 32)


def gumbel(keys: Tensor, tokens: Tensor) -> Tensor:
    """Standard Gumbel variates in float64; `keys` and `tokens` broadcast."""
    uniform = (hashes(keys, tokens).to(float64) + 1.0) / UNIFORM_DIVISOR
    return -(-uniform.log()).log()


def _mix(state: Tensor) -> Tensor:
    state = (state ^ _unsigned_shift(state, 30)) * _MULTIPLIER_1
    state = (state ^ _unsigned_shift(state, 27)) * _MULTIPLIER_2
    return state ^ _unsigned_shift(state, 31)


def _unsigned_shift(state: Tensor, bits: int) -> Tensor:
    return (state >> bits) & ((1 << (64 - bits)) - 1)
