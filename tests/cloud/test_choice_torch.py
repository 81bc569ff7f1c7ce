"""Choices of many rows on tensors are those of the shared rule, row by row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider_cloud.choice import Draw, choose, choose_sampled
from outrider_protos import choice
from outrider_protos.words import Sampling

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]

samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.1, 0.7, 1.0, 2.5]),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.sampled_from([0.01, 0.5, 0.9, 1.0]),
    seed=st.integers(0, (1 << 64) - 1),
)
draws = st.lists(st.builds(Draw, samplings, st.integers(0, (1 << 32) - 1)), min_size=1, max_size=6)


def random_rows(seed: int, count: int, *, scale: float, levels: bool) -> torch.Tensor:
    """`levels`: whole numbers, of which many are equal."""
    rows = np.random.default_rng(seed).normal(size=(count, 40)) * scale
    rows[:, 7] = -np.inf
    return torch.tensor(np.round(rows) if levels else rows, dtype=torch.float32)


@settings(max_examples=150, deadline=None)
@given(
    draws=draws, seed=st.integers(0, 10**6), scale=st.sampled_from([0.5, 4.0]), levels=st.booleans()
)
def test_sampled_rows_get_the_choices_of_the_shared_rule(
    draws: list[Draw], seed: int, scale: float, levels: bool
) -> None:
    rows = random_rows(seed, len(draws), scale=scale, levels=levels)
    expected = [
        choice.choose(row, draw.sampling, draw.index)
        for row, draw in zip(rows.numpy(), draws, strict=True)
    ]
    for device in DEVICES:
        assert choose_sampled(rows.to(device), draws).tolist() == expected


@pytest.mark.parametrize("device", DEVICES)
def test_greedy_and_sampled_rows_stand_side_by_side(device: str) -> None:
    rows = random_rows(3, 4, scale=2.0, levels=False).to(device)
    greedy, warm = Sampling(), Sampling(temperature=1.0, seed=9)
    mixed = [Draw(greedy, 5), Draw(warm, 6), Draw(greedy, 7), Draw(warm, 8)]
    best = rows.argmax(1)
    expected = [
        choice.choose(row, draw.sampling, draw.index)
        for row, draw in zip(rows.cpu().numpy(), mixed, strict=True)
    ]
    assert choose(rows, best, mixed).tolist() == expected
    assert choose(rows, best, [Draw(greedy, 0)] * 4).tolist() == best.tolist()


def test_equal_scores_go_to_the_lower_id_where_a_filter_cuts_between_them() -> None:
    rows = torch.zeros(1, 40)
    draw = Draw(Sampling(temperature=1.0, top_k=1, seed=1), 0)
    assert choose_sampled(rows, [draw]).tolist() == [0]
    half = Draw(Sampling(temperature=1.0, top_p=0.5, seed=1), 0)
    chosen = [choose_sampled(rows, [Draw(half.sampling, n)]).item() for n in range(60)]
    assert max(chosen) == 19
