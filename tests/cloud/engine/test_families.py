"""Every family's rows in the packed engine are those of the family's own code."""

import pytest

from outrider_cloud.engine import Work
from outrider_cloud.reference import Reference
from outrider_cloud.transformers_engine.engine import TransformersEngine
from tests.cloud.engine.comparison import TOLERANCE, largest_error
from tests.cloud.engine.tiny import FAMILIES, tiny_target

LOG = tuple(7 * n % 53 + 2 for n in range(29))  # longer than any window


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tree_after_a_chunked_prompt_gives_the_rows_of_its_paths(family: str) -> None:
    target = tiny_target(family)
    engine = TransformersEngine(target, pages=8)
    assert engine.forward([Work(session=3, past=0, prefix=LOG[:17], judge=False)]) == [None]
    tree = Work(
        session=3,
        past=17,
        prefix=LOG[17:],
        nodes=(4, 5, 6, 7, 8, 9, 10, 11),
        parents=(0, 0, 1, 3, 4, 2, 5, 7),
        logprobs=True,
    )
    (verdict,) = engine.forward([tree])
    reference = Reference(target)
    assert largest_error(reference, LOG, tree, verdict) < TOLERANCE
    engine.keep(3, (1, 3, 4, 5))
    after = Work(session=3, past=33, prefix=(12,), nodes=(13,), parents=(0,), logprobs=True)
    (verdict,) = engine.forward([after])
    assert largest_error(reference, [*LOG, 4, 6, 7, 8, 12], after, verdict) < TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_the_target_keeps_its_own_attention_and_shares_its_weights(family: str) -> None:
    target = tiny_target(family)
    before = target.model.config._attn_implementation
    rows = Reference(target).rows(LOG)
    engine = TransformersEngine(target, pages=8)
    for weight in target.model.parameters():
        weight.data.mul_(0.5)
    assert target.model.config._attn_implementation == before
    assert abs(Reference(target).rows(LOG) - rows).max() > 0.1
    work = Work(session=1, past=0, prefix=LOG, logprobs=True)
    (verdict,) = engine.forward([work])
    assert largest_error(Reference(target), LOG, work, verdict) < TOLERANCE
