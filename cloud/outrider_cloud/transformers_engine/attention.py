"""Attention of packed rows over the KV pool, called by transformers in every layer.

It is registered through transformers' public `AttentionInterface` and finds the forward's `Plan`
among the keyword arguments, which transformers hands down untouched. Two ways lead to the result:
scaled dot-product attention per session (every device, chains and trees; this is the tested one),
and on CUDA torch's paged variable-length kernel for batches of chains. It knows no model family.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

from outrider_cloud.transformers_engine.plan import BlockTable, Plan, Span

NAME = "outrider_packed"


def attend(  # noqa: PLR0913 - the signature is transformers'
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    scaling: float,
    plan: Plan,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Store the KV [1, KV heads, rows, head size] of all rows, then let each see what it may.

    `query` is [1, heads, rows, head size], the result [1, rows, heads, head size]. No mask comes
    from transformers, which makes none for attention it does not know.
    """
    layer = module.layer_idx
    assert isinstance(layer, int)
    plan.pool.write(layer, key[0].transpose(0, 1), value[0].transpose(0, 1), plan.slots)
    if plan.blocks is not None:
        keys, values = plan.pool.paged(layer)
        rows = query[0].transpose(0, 1)
        window = sliding_window and sliding_window - 1  # the kernel does not count the row itself
        return paged_attention(rows, keys, values, plan.blocks, scaling, window)[None], None
    parts = []
    for span in plan.spans:
        keys, values = span.read(layer)
        rows = query if len(plan.spans) == 1 else query[:, :, span.begin : span.end]
        parts.append(_attend_span(span, rows, keys, values, scaling, sliding_window, softcap))
    result = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
    return result.transpose(1, 2), None


def _attend_span(
    span: Span,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scaling: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """One session, [1, heads, rows, head size]; heads that share KV are stacked as rows."""
    heads, rows, size = query.shape[1:]
    sharing = heads // keys.shape[1]
    stacked = query.reshape(1, keys.shape[1], sharing * rows, size)
    mask = span.mask(query, window, sharing)
    if softcap is None:
        result = functional.scaled_dot_product_attention(
            stacked, keys, values, attn_mask=mask, scale=scaling
        )
    else:
        scores = stacked @ keys.transpose(2, 3) * scaling
        scores = (scores / softcap).tanh() * softcap
        weights = (scores if mask is None else scores + mask).softmax(-1, dtype=torch.float32)
        result = weights.to(values.dtype) @ values
    return result.reshape(1, heads, rows, size)


def paged_attention(
    rows: Tensor,
    keys: Tensor,
    values: Tensor,
    blocks: BlockTable,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """Causal attention of chains, CUDA only: rows [rows, heads, head size] over paged KV.

    `window` is how many tokens before itself a row sees, None for all.
    """
    result = varlen_attn(
        rows,
        keys,
        values,
        blocks.row_bounds,
        None,
        blocks.most_rows,
        blocks.most_tokens,
        scale=scaling,
        window_size=(-1 if window is None else window, 0),
        enable_gqa=True,
        seqused_k=blocks.lengths,
        block_table=blocks.pages,
    )
    assert isinstance(result, Tensor)  # a tuple only where more is asked for
    return result


AttentionInterface.register(NAME, attend)
