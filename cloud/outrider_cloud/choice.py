"""The choices of many rows of logits at once, on whatever device they are.

On a CPU this is `outrider_protos.choice` row by row, which is faster there than any tensor code; on
CUDA the same rule on whole tensors, without waiting for the device. `docs/noise.md` is the
specification of both. This module does not know sessions, nor where the rows come from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outrider_cloud import noise
from outrider_protos import choice
from outrider_protos.words import Sampling


@dataclass(frozen=True, slots=True)
class Draw:
    """How the token at log position `index` is to be chosen."""

    sampling: Sampling
    index: int


def choose(logits: Tensor, best: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Token ids, int64 [rows].

    `logits` is float32 [rows, vocabulary], -inf marks an impossible token; `best` is each row's
    argmax. A row whose maximum is not finite gets some token: the caller looks at the maxima.
    """
    sampled = [row for row, draw in enumerate(draws) if draw.sampling.temperature > 0]
    if not sampled:
        return best
    rows = torch.tensor(sampled, device=logits.device)
    if logits.device.type == "cpu":
        chosen = torch.tensor([_choose_row(logits[row], draws[row]) for row in sampled])
    else:
        chosen = choose_sampled(logits[rows], [draws[row] for row in sampled])
    return best.index_copy(0, rows, chosen)


def _choose_row(logits: Tensor, draw: Draw) -> int:
    return choice.choose(logits.numpy(), draw.sampling, draw.index)


def choose_sampled(logits: Tensor, draws: Sequence[Draw]) -> Tensor:
    """The same on tensors, for rows that all have a temperature above 0. Scores are float64."""
    device = logits.device
    settings = [draw.sampling for draw in draws]
    temperatures = [[sampling.temperature] for sampling in settings]
    temperature = torch.tensor(temperatures, dtype=torch.float64, device=device)
    scaled = logits.to(torch.float64)
    scaled = (scaled - scaled.amax(1, keepdim=True)) / temperature
    seeds = torch.tensor([noise.signed(sampling.seed) for sampling in settings], device=device)
    keys = noise.keys(seeds, torch.tensor([draw.index for draw in draws], device=device))
    tokens = torch.arange(logits.shape[1], device=device)
    scores = scaled + noise.gumbel(keys[:, None], tokens)
    if any(sampling.top_k is not None or sampling.top_p is not None for sampling in settings):
        scores = scores.where(_left(logits, scaled, settings), -torch.inf)
    return scores.argmax(1)


def _left(logits: Tensor, scaled: Tensor, settings: Sequence[Sampling]) -> Tensor:
    """What top-k, then top-p leave, bool like `logits`."""
    size = logits.shape[1]
    counts = [[min(sampling.top_k or size, size)] for sampling in settings]
    shares = [[math.inf if sampling.top_p is None else sampling.top_p] for sampling in settings]
    share = torch.tensor(shares, dtype=torch.float64, device=logits.device)
    order = logits.sort(dim=1, descending=True, stable=True).indices
    counted = torch.arange(size, device=logits.device) < torch.tensor(counts, device=logits.device)
    mass = (scaled.gather(1, order).exp() * counted).cumsum(1)
    left = counted.clone()
    left[:, 1:] &= mass[:, :-1] < share * mass[:, -1:]  # the token that crosses the border stays
    return torch.zeros_like(left).scatter(1, order, left)
