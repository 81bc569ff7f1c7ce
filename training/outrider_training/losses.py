"""How far a draft is from its target at one position, in the ways the papers measure it.

The target is known by its likeliest tokens and the mass of all others, so both are compared over
those tokens and one bucket for the rest. Pure functions over tensors; they know no models.
"""

import math
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

_ROUNDING = 1e-6  # of a tail's mass, which is one minus many others
_LEAST_LOG = -30.0  # of a probability: 1e-13 stands for nothing, so that no gradient is NaN


class Loss(Enum):
    """What an update makes small."""

    FORWARD_KL = "forward-kl"  # KL(p || q), p the target
    REVERSE_KL = "reverse-kl"  # KL(q || p)
    JSD = "jsd"  # beta KL(p || m) + (1 - beta) KL(q || m), m = beta p + (1 - beta) q
    TV = "tv"  # total variation, which is one minus the acceptance of speculative sampling
    TVD_PLUS_PLUS = "tvd++"  # total variation as a policy gradient with normalised rewards
    ACCEPTANCE = "acceptance"  # forward KL while acceptance is low, total variation when high
    LABEL = "label"  # cross entropy on the target's choice alone


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the target thought at N positions; see `records.record.Tops`.

    `tokens` int64 and `logprobs` float32 are [N, K], `tails` float32 [N], `choices` int64 [N].
    """

    tokens: Tensor
    logprobs: Tensor
    tails: Tensor
    choices: Tensor

    def to(self, device: torch.device) -> "Opinion":
        """The same on a device."""
        parts = (self.tokens, self.logprobs, self.tails, self.choices)
        return Opinion(*(part.to(device) for part in parts))

    def at(self, positions: Tensor) -> "Opinion":
        """Some of them."""
        parts = (self.tokens, self.logprobs, self.tails, self.choices)
        return Opinion(*(part[positions] for part in parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A loss with its settings."""

    loss: Loss = Loss.FORWARD_KL
    beta: float = 0.5  # of the Jensen-Shannon divergence
    temperature: float = 1.0  # softens both sides; below 1 it sharpens them


def divergence(measure: Measure, logits: Tensor, opinion: Opinion) -> Tensor:
    """[N], differentiable, of the draft's logits [N, vocabulary].

    The rewards of TVD++ are normalised over the N positions given.
    """
    if measure.loss is Loss.LABEL:
        return torch.nn.functional.cross_entropy(logits, opinion.choices, reduction="none")
    log_q = draft_buckets(logits, opinion.tokens, measure.temperature)
    log_p = target_buckets(opinion, logits.shape[1], measure.temperature)
    match measure.loss:
        case Loss.FORWARD_KL:
            return _kl(log_p, log_q)
        case Loss.REVERSE_KL:
            return _kl(log_q, log_p)
        case Loss.JSD:
            return _jensen_shannon(log_p, log_q, measure.beta)
        case Loss.TV:
            return _total_variation(log_p, log_q)
        case Loss.TVD_PLUS_PLUS:
            return _policy_gradient(log_p, log_q)
        case Loss.ACCEPTANCE:
            trust = torch.exp(-3 * overlap(log_p, log_q)).detach()
            return trust * _kl(log_p, log_q) + (1 - trust) * _total_variation(log_p, log_q)


def draft_buckets(logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """Log-probabilities [N, K + 1] of the target's likeliest tokens and of all others together."""
    logprobs = torch.log_softmax(logits.float() / temperature, dim=1)
    others = logprobs.scatter(1, tokens, _LEAST_LOG).logsumexp(dim=1, keepdim=True)
    return torch.cat([logprobs.gather(1, tokens), others], dim=1).clamp(min=_LEAST_LOG)


def target_buckets(opinion: Opinion, vocabulary: int, temperature: float) -> Tensor:
    """The same of the target.

    At temperatures other than 1 the mass of the others depends on how it is spread; it is taken as
    spread evenly, which is exact at 1 and too small below.
    """
    others = max(1, vocabulary - opinion.tokens.shape[1])
    tails = torch.where(opinion.tails < _ROUNDING, math.exp(_LEAST_LOG), opinion.tails)
    tail = tails.log().unsqueeze(1)
    softened = (tail - math.log(others)) / temperature + math.log(others)
    logprobs = torch.cat([opinion.logprobs / temperature, softened], dim=1)
    return torch.log_softmax(logprobs, dim=1).clamp(min=_LEAST_LOG)


def overlap(log_p: Tensor, log_q: Tensor) -> Tensor:
    """[N], the chance that speculative sampling accepts the draft's token, from above."""
    return torch.minimum(log_p.exp(), log_q.exp()).sum(dim=1)


def _kl(log_a: Tensor, log_b: Tensor) -> Tensor:
    return (log_a.exp() * (log_a - log_b)).sum(dim=1)


def _jensen_shannon(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    middle = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
    return beta * _kl(log_p, middle) + (1 - beta) * _kl(log_q, middle)


def _total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(dim=1)


def _policy_gradient(log_p: Tensor, log_q: Tensor) -> Tensor:
    """A token's reward is 1 where the target gives it more than the draft; the expectation over
    the draft's own samples is taken exactly. Its value means nothing, its gradient does.
    """
    q = log_q.exp().detach()
    rewards = (log_p > log_q).float()
    mean = (q * rewards).sum() / q.sum()
    spread = ((q * (rewards - mean) ** 2).sum() / q.sum()).sqrt().clamp(min=1e-3)
    return -(q * (rewards - mean) / spread * log_q).sum(dim=1)
