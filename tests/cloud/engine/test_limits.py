"""The engine holds what it says it holds, and no more, for however long it runs."""

import pytest
import torch

from outrider_cloud.engine import Work
from outrider_cloud.errors import EngineError
from outrider_cloud.reference import Reference
from outrider_cloud.transformers_engine.engine import TransformersEngine
from tests.cloud.engine.comparison import TOLERANCE, largest_error
from tests.cloud.engine.tiny import VOCAB_SIZE, tiny_target

TARGET = tiny_target()


def test_the_limits_are_those_of_the_target_and_of_the_pool() -> None:
    limits = TransformersEngine(TARGET, pages=9).limits
    assert (limits.pages, limits.page_tokens, limits.context_tokens) == (9, 16, 128)
    assert (limits.vocab_size, limits.end_ids) == (VOCAB_SIZE, frozenset({1}))


def test_without_a_number_the_pool_gets_a_budget() -> None:
    limits = TransformersEngine(TARGET).limits
    assert limits.pages * 16 * TARGET.kv.bytes_per_token() <= 2 << 30
    assert limits.pages > 1000


def test_a_pool_that_memory_cannot_hold_is_an_engine_error() -> None:
    with pytest.raises(EngineError):
        TransformersEngine(TARGET, pages=1 << 50)


def test_too_few_pages_fail_the_forward_and_harm_nobody() -> None:
    engine = TransformersEngine(TARGET, pages=3)
    log = tuple(range(2, 20))
    engine.forward([Work(session=1, past=0, prefix=log)])
    with pytest.raises(EngineError) as caught:
        engine.forward([Work(session=2, past=0, prefix=log)])
    assert "session 2" in str(caught.value)
    work = Work(session=1, past=18, prefix=(7,), logprobs=True)
    (verdict,) = engine.forward([work])
    assert largest_error(Reference(TARGET), [*log, 7], work, verdict) < TOLERANCE


def test_a_failed_forward_leaves_what_stood_before_it() -> None:
    target = tiny_target()
    engine = TransformersEngine(target, pages=3)
    log = tuple(range(2, 12))
    engine.forward([Work(session=1, past=0, prefix=log)])
    norm = target.model.get_decoder().norm.weight
    weights = norm.detach().clone()
    norm.data.fill_(torch.nan)
    with pytest.raises(EngineError):
        engine.forward([Work(session=1, past=8, prefix=(3,), nodes=(4,), parents=(0,))])
    norm.data.copy_(weights)
    with pytest.raises(EngineError):
        engine.forward([Work(session=1, past=9, prefix=(4,))])
    work = Work(session=1, past=8, prefix=(3,), logprobs=True)
    (verdict,) = engine.forward([work])
    assert largest_error(Reference(target), [*log[:8], 3], work, verdict) < TOLERANCE


def test_rejected_and_released_pages_come_back() -> None:
    engine = TransformersEngine(TARGET, pages=8)
    engine.forward([Work(session=1, past=0, prefix=(5,) * 10)])
    assert engine.free_pages == 7
    nodes = Work(session=1, past=10, prefix=(5,), nodes=(6,) * 30, parents=tuple(range(30)))
    engine.forward([nodes])
    assert engine.free_pages == 5
    engine.keep(1, (1, 2))
    assert engine.free_pages == 7
    engine.release(1)
    assert engine.free_pages == 8


def test_a_long_run_takes_no_more_than_the_log_needs() -> None:
    engine = TransformersEngine(TARGET, pages=9)
    log = [2]
    for step in range(90):
        past = len(log) - 1
        parents = (0, 0, 1, 2) if step % 2 else (0, 1, 2, 3)
        engine.forward(
            [Work(session=1, past=past, prefix=(log[-1],), nodes=(3, 4, 5, 6), parents=parents)]
        )
        kept = () if step % 3 else (2,) if step % 2 else (1,)
        engine.keep(1, kept)
        log += [(3, 4, 5, 6)[node - 1] for node in kept] + [7]
        assert engine.free_pages == 9 - -(-(len(log) - 1) // 16)
        if len(log) > 100:
            log = log[:40]


def test_threads_are_set_where_asked() -> None:
    before = torch.get_num_threads()
    try:
        TransformersEngine(TARGET, pages=1, threads=2)
        assert torch.get_num_threads() == 2
        TransformersEngine(TARGET, pages=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
