"""Verdicts say what the rows say."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider_cloud.engine import Work
from outrider_cloud.errors import EngineError
from outrider_cloud.transformers_engine.rows import judge
from outrider_protos import choice, distance
from outrider_protos.words import Distance, Rollback, Sampling, TopRow

NODES = (3, 1, 4, 1)
PARENTS = (0, 0, 2, 3)
DEPTHS = (0, 1, 1, 2, 3)


def work(**changes: object) -> Work:
    given = {"session": 5, "past": 6, "prefix": (1, 2), "nodes": NODES, "parents": PARENTS}
    return Work(**{**given, **changes})  # type: ignore[arg-type]  # a bag of fields


def rows(seed: int, count: int = 5) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 9)).astype("f") * 3)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), temperature=st.sampled_from([0.0, 0.8]))
def test_a_row_is_chosen_at_the_log_index_of_the_token_that_would_follow(
    seed: int, temperature: float
) -> None:
    logits = rows(seed)
    sampling = Sampling(temperature=temperature, top_k=5, seed=seed)
    (verdict,) = judge(logits, [work(sampling=sampling)])
    assert verdict.choices == tuple(
        choice.choose(row, sampling, 8 + depth)
        for row, depth in zip(logits.numpy(), DEPTHS, strict=True)
    )


def test_nodes_are_measured_under_their_parents_row() -> None:
    logits = rows(1)
    (verdict,) = judge(logits, [work(logprobs=True, rollback=Rollback(threshold=1.0))])
    expected = [
        choice.log_probability(logits[parent].numpy(), token)
        for parent, token in zip(PARENTS, NODES, strict=True)
    ]
    assert verdict.node_logprobs == pytest.approx(expected, abs=1e-5)
    assert verdict.distances == pytest.approx([-each for each in expected], abs=1e-5)
    chosen = [
        choice.log_probability(row, token)
        for row, token in zip(logits.numpy(), verdict.choices, strict=True)
    ]
    assert verdict.choice_logprobs == pytest.approx(chosen, abs=1e-5)


@pytest.mark.parametrize("kind", [Distance.KULLBACK_LEIBLER, Distance.TOTAL_VARIATION])
def test_distances_between_distributions_use_the_drafts_tokens_and_one_tail(
    kind: Distance,
) -> None:
    logits = rows(2)
    top = (
        TopRow((3, 0), (0.6, 0.2)),
        TopRow((1,), (0.9,)),
        TopRow((), ()),
        TopRow((1, 2, 8), (0.3, 0.3, 0.4)),
    )
    rollback = Rollback(threshold=1.0, distance=kind)
    first = work(session=1, nodes=(), parents=(), logprobs=True)  # so that rows are offset
    _, verdict = judge(torch.cat((rows(3, 1), logits)), [first, work(rollback=rollback, top=top)])
    measure = {
        Distance.KULLBACK_LEIBLER: distance.kullback_leibler,
        Distance.TOTAL_VARIATION: distance.total_variation,
    }[kind]
    probabilities = logits.softmax(1).tolist()
    expected = [
        measure(row.probabilities, [probabilities[parent][token] for token in row.tokens])
        for parent, row in zip(PARENTS, top, strict=True)
    ]
    assert verdict.distances == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_not_finite_names_its_session_alone(bad: float) -> None:
    logits = torch.cat((rows(4), rows(5)))
    logits[7, 2] = bad
    sampled = Sampling(temperature=1.0, seed=4)
    with pytest.raises(EngineError) as caught:
        judge(logits, [work(), work(session=31, sampling=sampled)])
    assert str(caught.value) == "session 31: the target's logits are not finite"


def test_half_precision_rows_are_judged_in_single_precision() -> None:
    logits = rows(6).to(torch.bfloat16)
    (verdict,) = judge(logits, [work(logprobs=True)])
    (expected,) = judge(logits.to(torch.float32), [work(logprobs=True)])
    assert verdict == expected
