"""The KV of all sessions: one tensor, cut into pages.

Layout [layers, 2, slots, KV heads, head size], keys before values; a slot holds one token and a
page is `page_tokens` slots. This module knows neither tokens nor which session is asking.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outrider_cloud.transformers_engine.pages import Lease, Moved

CPU_POOL_BYTES = 2 << 30
CUDA_POOL_SHARE = 0.8  # of what is free once the weights are there


@dataclass(frozen=True, slots=True, kw_only=True)
class KvShape:
    """What one token's KV looks like."""

    layers: int
    heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device

    def bytes_per_token(self) -> int:
        """Over all layers, keys and values."""
        return 2 * self.layers * self.heads * self.head_size * self.dtype.itemsize


def pages_that_fit(shape: KvShape, page_tokens: int) -> int:
    """How many pages to take when nobody says: at least one."""
    budget = CPU_POOL_BYTES
    if shape.device.type == "cuda":
        budget = int(torch.cuda.mem_get_info(shape.device)[0] * CUDA_POOL_SHARE)
    return max(1, budget // (shape.bytes_per_token() * page_tokens))


class Pool:
    """Room for `pages` pages. The memory is touched, and on a CPU taken, only when written."""

    def __init__(self, shape: KvShape, pages: int, page_tokens: int) -> None:
        self.page_tokens = page_tokens
        self.device = shape.device
        slots = pages * page_tokens
        size = (shape.layers, 2, slots, shape.heads, shape.head_size)
        self._kv = torch.empty(size, dtype=shape.dtype, device=shape.device)
        self._layers = self._kv.flatten(0, 1).unbind(0)  # keys of 0, values of 0, keys of 1, ...
        paged = (-1, page_tokens, shape.heads, shape.head_size)
        self._paged = [layer.view(paged) for layer in self._layers]

    def write(self, layer: int, keys: Tensor, values: Tensor, slots: Tensor) -> None:
        """Keys and values [tokens, KV heads, head size] of one layer."""
        self._layers[2 * layer].index_copy_(0, slots, keys)
        self._layers[2 * layer + 1].index_copy_(0, slots, values)

    def paged(self, layer: int) -> tuple[Tensor, Tensor]:
        """All keys and all values of a layer [pages, page tokens, KV heads, head size]."""
        return self._paged[2 * layer], self._paged[2 * layer + 1]

    def slots(self, lease: Lease, begin: int, end: int) -> list[int]:
        """Where the session's tokens `begin` to `end` are."""
        size = self.page_tokens
        if lease.contiguous:
            start = lease.pages[0] * size if lease.pages else 0
            return list(range(start + begin, start + end))
        return [lease.pages[at // size] * size + at % size for at in range(begin, end)]

    def reading(self, lease: Lease, length: int) -> "Reading":
        """A view of the session's first `length` tokens for the attention of every layer."""
        if lease.contiguous:
            start = lease.pages[0] * self.page_tokens
            cut = self._kv[:, :, start : start + length].transpose(2, 3).flatten(0, 1)
            return Reading(cut.unsqueeze(1).unbind(0), None)
        slots = torch.tensor(self.slots(lease, 0, length), device=self.device)
        return Reading(self._layers, slots)

    def follow(self, moved: Moved) -> None:
        """Copy the pages of a lease that went elsewhere."""
        slots = [
            torch.tensor(pages, device=self.device)[:, None] * self.page_tokens
            + torch.arange(self.page_tokens, device=self.device)
            for pages in (moved.source, moved.target)
        ]
        self._copy(slots[0].flatten(), slots[1].flatten())

    def move(self, source: Sequence[int], target: Sequence[int]) -> None:
        """Copy tokens from slots to slots, which may overlap."""
        self._copy(
            torch.tensor(source, device=self.device), torch.tensor(target, device=self.device)
        )

    def _copy(self, source: Tensor, target: Tensor) -> None:
        self._kv.index_copy_(2, target, self._kv.index_select(2, source))


@dataclass(frozen=True, slots=True)
class Reading:
    """One session's keys and values in one forward: slices where possible, else to be gathered."""

    layers: Sequence[Tensor]  # keys of layer 0, values of 0, keys of 1, ...
    slots: Tensor | None  # None: `layers` are the session's own already

    def of(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values [1, KV heads, tokens, head size]."""
        keys, values = self.layers[2 * layer], self.layers[2 * layer + 1]
        if self.slots is None:
            return keys, values
        return _gather(keys, self.slots), _gather(values, self.slots)


def _gather(layer: Tensor, slots: Tensor) -> Tensor:
    return layer.index_select(0, slots).transpose(0, 1).unsqueeze(0)
