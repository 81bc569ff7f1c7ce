"""Losses over the likeliest tokens and a bucket for the rest: the papers' formulas, literally."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from outrider_training.losses import Loss, Measure, Opinion, divergence

VOCABULARY = 6
rows = st.lists(st.floats(-4, 4), min_size=VOCABULARY, max_size=VOCABULARY).map(
    lambda row: torch.tensor([row])
)


def opinion(logits: Tensor, kept: int = VOCABULARY) -> Opinion:
    """What the records would keep of a target's logits."""
    logprobs, tokens = logits.log_softmax(dim=1).topk(kept)
    tails = (1 - logprobs.exp().sum(dim=1)).clamp(min=0)
    return Opinion(tokens, logprobs, tails, tokens[:, 0])


def value(loss: Loss, p: Tensor, q: Tensor, *, kept: int = VOCABULARY, beta: float = 0.5) -> float:
    return float(divergence(Measure(loss=loss, beta=beta), q, opinion(p, kept)))


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum())


def chances(row: Tensor) -> np.ndarray:
    found: np.ndarray = row.double().softmax(dim=1)[0].numpy()
    return found


@given(rows, rows, st.floats(0.1, 0.9))
def test_every_loss_is_its_formula(p: Tensor, q: Tensor, beta: float) -> None:
    one, two = chances(p), chances(q)
    middle = beta * one + (1 - beta) * two
    tv = 0.5 * np.abs(one - two).sum()
    alpha = np.minimum(one, two).sum()
    trust = math.exp(-3 * alpha)
    expected = {
        Loss.FORWARD_KL: kl(one, two),
        Loss.REVERSE_KL: kl(two, one),
        Loss.JSD: beta * kl(one, middle) + (1 - beta) * kl(two, middle),
        Loss.TV: tv,
        Loss.ACCEPTANCE: trust * kl(one, two) + (1 - trust) * tv,
        Loss.LABEL: -math.log(two[int(opinion(p).choices)]),
    }
    for loss, wanted in expected.items():
        assert value(loss, p, q, beta=beta) == pytest.approx(wanted, abs=1e-4)


@given(rows, rows, st.integers(1, VOCABULARY - 1))
def test_what_is_not_kept_is_one_bucket(p: Tensor, q: Tensor, kept: int) -> None:
    """Merging tokens can only lose difference, of the total variation at most what they hold."""
    for loss in (Loss.FORWARD_KL, Loss.REVERSE_KL, Loss.JSD, Loss.TV):
        assert value(loss, p, q, kept=kept) <= value(loss, p, q) + 1e-4
    rest = float(opinion(p, kept).tails)
    others = np.delete(chances(q), opinion(p, kept).tokens[0].numpy()).sum()
    lost = value(Loss.TV, p, q) - value(Loss.TV, p, q, kept=kept)
    assert lost <= min(rest, others) + 1e-4


@given(rows, st.sampled_from([Loss.FORWARD_KL, Loss.REVERSE_KL, Loss.JSD]))
def test_a_draft_that_is_the_target_has_nothing_to_learn(p: Tensor, loss: Loss) -> None:
    """Total variation has a corner there, and no gradient to speak of."""
    q = p.clone().requires_grad_()
    torch.autograd.backward(divergence(Measure(loss=loss), q, opinion(p)).sum())
    assert q.grad is not None
    assert q.grad.abs().max() < 1e-3


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("kept", [2, VOCABULARY])
def test_following_the_gradient_raises_acceptance(loss: Loss, kept: int) -> None:
    p = torch.tensor([[2.0, 1.0, 0.0, -1.0, -2.0, -3.0]]).repeat(4, 1)
    q = torch.randn((4, VOCABULARY), generator=torch.Generator().manual_seed(1)).requires_grad_()
    before = divergence(Measure(loss=Loss.TV), q, opinion(p)).detach()
    optimizer = torch.optim.SGD([q], lr=0.2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(divergence(Measure(loss=loss), q, opinion(p, kept)).sum())
        optimizer.step()
    after = divergence(Measure(loss=Loss.TV), q, opinion(p)).detach()
    assert (after < before).all()


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("temperature", [0.25, 1.0, 2.0])
def test_certainty_makes_no_nan(loss: Loss, temperature: float) -> None:
    certain = torch.tensor([[300.0, 0.0, -300.0, 0.0, 0.0, 0.0]])
    wrong = torch.tensor([[-300.0, 300.0, 0.0, 0.0, 0.0, 0.0]], requires_grad=True)
    measure = Measure(loss=loss, temperature=temperature)
    found = divergence(measure, wrong, opinion(certain, 3))
    torch.autograd.backward(found.sum())
    assert wrong.grad is not None
    assert torch.isfinite(found).all()
    assert torch.isfinite(wrong.grad).all()


@given(rows, rows, st.floats(0.3, 3))
def test_the_temperature_softens_both_sides(p: Tensor, q: Tensor, temperature: float) -> None:
    softened = Measure(loss=Loss.FORWARD_KL, temperature=temperature)
    found = float(divergence(softened, q, opinion(p)))
    expected = kl(chances(p / temperature), chances(q / temperature))
    assert found == pytest.approx(expected, abs=1e-3)
