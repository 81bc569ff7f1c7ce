"""Answers as tensors: which logits answer for which token, what counts, what fits together."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud.records.record import Fate, Tops
from outrider_cloud.transformers_engine.rows import top_tokens
from outrider_training.examples import (
    Example,
    Positions,
    Weighting,
    micro_batches,
    padded,
)
from outrider_training.losses import Measure, divergence
from outrider_training.prompts import knows, prompt_digest
from outrider_training.student import agreement, logits_at
from tests.training.moulds import CONFIGS, random_model

ACCEPTED, CORRECTED, OWN = Fate.ACCEPTED, Fate.CORRECTED, Fate.OWN


def example(
    prompt: tuple[int, ...], tokens: tuple[int, ...], weights: list[float] | None = None
) -> Example:
    count = len(tokens)
    tops = Tops(
        np.arange(count * 2, dtype=np.int32).reshape(count, 2),
        np.full((count, 2), -1.0, np.float32),
        np.zeros(count, np.float32),
    )
    kept = np.array(weights or [1.0] * count, np.float32)
    return Example(prompt, tokens, tokens, tops, kept, "sql", 0.0)


def by_the_student(prompt: tuple[int, ...], tokens: tuple[int, ...], name: str) -> Example:
    """An example whose target is the model itself."""
    model = random_model(CONFIGS[name])
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + tokens])).logits[0]
    tops = top_tokens(logits[len(prompt) - 1 : -1])
    choices = tuple(tops.tokens[:, 0].tolist())
    return Example(prompt, tokens, choices, tops, np.ones(len(tokens), np.float32), "self", 0.0)


@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma2"])
def test_a_model_agrees_with_itself_at_every_position(name: str) -> None:
    """Logits at position i predict token i + 1: one off, and a model would differ from itself."""
    examples = [
        by_the_student((1, 5, 9), (7, 30, 41, 2), name),
        by_the_student((1,), (8, 8, 2), name),
        by_the_student((1, 60, 61, 62, 63, 64), (9,), name),
    ]
    student = random_model(CONFIGS[name])
    batch = padded(examples)
    with torch.inference_mode():
        losses = divergence(Measure(), logits_at(student, batch), batch.opinion)
        assert losses.abs().max() < 1e-4
        shifted = divergence(Measure(), logits_at(student, batch).roll(1, 0), batch.opinion)
        assert shifted.mean() > 0.1
    assert agreement(student, examples, 100) == {"self": 1.0}


def test_only_what_counts_is_looked_at() -> None:
    batch = padded([example((5, 6), (1, 2, 3), [0, 2, 1]), example((7,), (4,))])
    assert batch.inputs.tolist() == [[5, 6, 1, 2], [7, 0, 0, 0]]
    assert batch.at.tolist() == [2, 3, 4]
    assert batch.weights.tolist() == [2, 1, 1]
    assert batch.rows.tolist() == [0, 0, 1]
    assert batch.opinion.choices.tolist() == [2, 3, 4]
    assert batch.opinion.tokens.tolist() == [[2, 3], [4, 5], [0, 1]]


def test_rejected_positions_alone_or_with_more_weight() -> None:
    fates = (ACCEPTED, CORRECTED, OWN, CORRECTED)
    assert Weighting().of(fates).tolist() == [1, 1, 1, 1]
    assert Weighting(rejected=3).of(fates).tolist() == [1, 3, 1, 3]
    assert Weighting(positions=Positions.REJECTED).of(fates).tolist() == [0, 1, 0, 1]


def test_an_answer_is_cut_to_the_context() -> None:
    whole = example((1, 2, 3), (4, 5, 6), [0, 0, 1])
    assert whole.within(6) is whole
    assert whole.within(5) is None  # nothing that counts is left
    assert whole.within(3) is None
    cut = example((1, 2, 3), (4, 5, 6)).within(4)
    assert cut is not None
    assert (cut.tokens, cut.choices, len(cut.tops), cut.length) == ((4,), (4,), 1, 4)


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 10)), min_size=1, max_size=20),
    st.integers(1, 200),
)
def test_micro_batches_hold_everything_once_and_little_at_a_time(
    shapes: list[tuple[int, int]], most: int
) -> None:
    examples = [example((1,) * prompt, (2,) * answer) for prompt, answer in shapes]
    groups = list(micro_batches(examples, most))
    assert sorted(map(id, examples)) == sorted(id(e) for group in groups for e in group)
    for group in groups:
        assert len(group) == 1 or len(group) * max(e.length for e in group) <= most


def test_prompts_are_known_by_their_tokens() -> None:
    assert prompt_digest((1, 2)) == prompt_digest([1, 2]) != prompt_digest((2, 1))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 40))
def test_what_goes_on_from_a_known_prompt_is_known(prompt: list[int], length: int) -> None:
    """Beginnings of fewer than 16 tokens say nothing: templates begin alike."""
    beginning = prompt[:length]
    learnt = {prompt_digest(beginning)}
    assert knows(learnt, prompt) == (length >= 16 or beginning == prompt)
    assert not knows(learnt, [10, *prompt])
    assert not knows(set(), prompt)
