"""Whether torch's paged attention kernel can be trusted on this device.

It depends on the card, the type and the head size, and its absence shows only when it is called:
so it is called once, on a few pages out of order, and compared with plain attention.
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from outrider_cloud.transformers_engine.attention import paged_attention
from outrider_cloud.transformers_engine.plan import BlockTable
from outrider_cloud.transformers_engine.pool import KvShape

_TOLERANCE = 0.05  # of values around 1, in 8 bits of mantissa


def paged_kernel_works(shape: KvShape, heads: int, page_tokens: int) -> bool:
    """Compare the kernel with plain attention: two sessions, one of them longer than a page."""
    random = torch.Generator().manual_seed(0)

    def values(*size: int) -> Tensor:
        return torch.randn(size, generator=random).to(shape.device, shape.dtype)

    query = values(4, heads, shape.head_size)
    keys, contents = (values(3, page_tokens, shape.heads, shape.head_size) for _ in range(2))
    pages, lengths = [[2, 0], [1, 0]], [page_tokens + 5, 7]
    int32 = partial(torch.tensor, dtype=torch.int32, device=shape.device)
    blocks = BlockTable(
        row_bounds=int32([0, 3, 4]),
        lengths=int32(lengths),
        pages=int32(pages),
        most_rows=3,
        most_tokens=max(lengths),
    )
    try:
        found = paged_attention(query, keys, contents, blocks, None, None)
    except (RuntimeError, ValueError):
        return False
    expected = torch.cat(
        [
            _plain(rows, keys[table].flatten(0, 1)[:length], contents[table].flatten(0, 1)[:length])
            for rows, table, length in zip((query[:3], query[3:]), pages, lengths, strict=True)
        ]
    )
    return bool(torch.allclose(found.float(), expected, atol=_TOLERANCE))


def _plain(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Rows at the end of a session, in float32; all arguments [tokens, heads, head size]."""
    rows, length = len(query), len(keys)
    allowed = torch.ones(rows, length, dtype=torch.bool, device=query.device).tril(length - rows)
    query, keys, values = (each.float().transpose(0, 1) for each in (query, keys, values))
    result = functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=allowed, enable_gqa=True
    )
    return result.transpose(0, 1)
