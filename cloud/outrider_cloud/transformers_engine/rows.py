"""From rows of logits to verdicts: choices, distances, log-probabilities.

Only numbers that were asked for leave the device. This module does not know where
the rows come from.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from outrider_cloud.choice import Draw, choose
from outrider_cloud.engine import Verdict, Work
from outrider_cloud.errors import EngineError
from outrider_cloud.records.record import TOP_TOKENS, Tops
from outrider_cloud.transformers_engine import tree
from outrider_protos import distance
from outrider_protos.words import Distance, TopRow


def judge(logits: Tensor, works: Sequence[Work]) -> list[Verdict]:
    """The verdicts of `works`, whose rows follow one another in `logits` [rows, vocabulary].

    Raises EngineError, naming the session alone, when a row holds NaN or infinity.
    """
    logits = logits.to(torch.float32)
    best, most_likely = logits.max(dim=1)
    _check(best.tolist(), works)
    choices = choose(logits, most_likely, [draw for work in works for draw in _draws(work)])
    columns = [choices.to(torch.float64)]
    if any(work.rollback is not None or work.logprobs for work in works):
        columns.append(_log_probabilities(logits, choices, works))
    numbers = torch.cat(columns).tolist()
    chosen, told = iter(numbers[: len(logits)]), iter(numbers[len(logits) :])
    return [_verdict(work, chosen, told) for work in works]


def top_tokens(logits: Tensor) -> Tops:
    """Of rows [rows, vocabulary], see `Tops`."""
    logits = logits.to(torch.float32)
    best, tokens = logits.topk(min(TOP_TOKENS, logits.shape[1]))
    logprobs = best - logits.logsumexp(dim=1, keepdim=True)
    tails = (1 - logprobs.exp().sum(dim=1)).clamp(min=0)
    return Tops(
        tokens.to(torch.int32).numpy(force=True),
        logprobs.numpy(force=True),
        tails.numpy(force=True),
    )


def _draws(work: Work) -> Iterator[Draw]:
    root = work.past + len(work.prefix)
    return (Draw(work.sampling, root + depth) for depth in tree.depths(work.parents))


def _check(best: Sequence[float], works: Sequence[Work]) -> None:
    """The maximum of a row with NaN is NaN."""
    row = 0
    for work in works:
        end = row + 1 + len(work.nodes)
        if not all(map(math.isfinite, best[row:end])):
            raise EngineError(f"session {work.session}: the target's logits are not finite")
        row = end


def _log_probabilities(logits: Tensor, choices: Tensor, works: Sequence[Work]) -> Tensor:
    """Per work, in float64: one per row of its choice, one per node, and those of its top rows."""
    rows: list[int] = []
    tokens: list[int] = []
    taken: list[int] = []  # where in the flat list a row's choice belongs
    first = 0
    for work in works:
        if work.rollback is not None or work.logprobs:
            taken += range(len(rows), len(rows) + 1 + len(work.nodes))
            rows += range(first, first + 1 + len(work.nodes))
            tokens += [0] * (1 + len(work.nodes))
            rows += (first + parent for parent in work.parents)
            tokens += work.nodes
            for parent, top in zip(work.parents, _tops(work), strict=False):
                rows += [first + parent] * len(top.tokens)
                tokens += top.tokens
        first += 1 + len(work.nodes)
    row = torch.tensor(rows, device=logits.device)
    token = torch.tensor(tokens, device=logits.device)
    own = torch.tensor(taken, device=logits.device)
    token = token.index_copy(0, own, choices[row[own]])
    return (logits[row, token] - logits.logsumexp(dim=1)[row]).to(torch.float64)


def _tops(work: Work) -> Sequence[TopRow]:
    """The draft's rows, where the distance needs them."""
    if work.rollback is None or work.rollback.distance is Distance.SURPRISE:
        return ()
    assert work.top is not None and len(work.top) == len(work.nodes)
    return work.top


def _verdict(work: Work, choices: Iterator[float], numbers: Iterator[float]) -> Verdict:
    rows = 1 + len(work.nodes)
    chosen = tuple(int(next(choices)) for _ in range(rows))
    if work.rollback is None and not work.logprobs:
        return Verdict(choices=chosen)
    choice_logprobs = tuple(next(numbers) for _ in range(rows))
    node_logprobs = tuple(next(numbers) for _ in work.nodes)
    distances = None
    if work.rollback is not None:
        distances = tuple(_distances(work, work.rollback.distance, node_logprobs, numbers))
    if not work.logprobs:
        return Verdict(choices=chosen, distances=distances)
    return Verdict(
        choices=chosen,
        distances=distances,
        choice_logprobs=choice_logprobs,
        node_logprobs=node_logprobs,
    )


def _distances(
    work: Work, kind: Distance, node_logprobs: Sequence[float], numbers: Iterator[float]
) -> Iterator[float]:
    if kind is Distance.SURPRISE:
        yield from map(distance.surprise, node_logprobs)
        return
    measure = (
        distance.kullback_leibler if kind is Distance.KULLBACK_LEIBLER else distance.total_variation
    )
    for top in _tops(work):
        target = [math.exp(next(numbers)) for _ in top.tokens]
        yield measure(top.probabilities, target)
