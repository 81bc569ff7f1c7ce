"""The target alone, and the measure of a near-tie."""

import dataclasses

import numpy as np
import pytest

from outrider_cloud.engine import Work
from outrider_cloud.reference import Reference, measure_epsilon
from outrider_cloud.transformers_engine.engine import TransformersEngine
from outrider_protos import choice
from outrider_protos.words import Sampling
from tests.cloud.engine.tiny import FAMILIES, tiny_target

LOG = [5, 9, 2, 40, 7]
SAMPLINGS = [Sampling(), Sampling(temperature=0.8, top_k=20, top_p=0.9, seed=123)]
TARGET = dataclasses.replace(tiny_target(), end_ids=frozenset())


def literal(sampling: Sampling, count: int) -> list[int]:
    """Everything recomputed for every token."""
    reference = Reference(TARGET)
    log = list(LOG)
    for _ in range(count):
        log.append(choice.choose(reference.rows(log)[-1], sampling, len(log)))
    return log[len(LOG) :]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_it_writes_what_full_recomputation_writes(sampling: Sampling) -> None:
    assert Reference(TARGET).generate(LOG, sampling, 25) == literal(sampling, 20)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_engine_that_decodes_writes_the_same(sampling: Sampling) -> None:
    engine = TransformersEngine(TARGET, pages=4)
    log = list(LOG)
    past = 0
    while len(log) < 25:
        work = Work(session=1, past=past, prefix=tuple(log[past:]), sampling=sampling)
        (verdict,) = engine.forward([work])
        assert verdict is not None
        past = len(log)
        log += verdict.choices
    assert log[len(LOG) :] == Reference(TARGET).generate(LOG, sampling, 25)


def test_it_stops_with_the_token_that_ends_the_text() -> None:
    written = Reference(TARGET).generate(LOG, SAMPLINGS[1], 25)
    third = written[2]
    until = written[: written.index(third) + 1]
    assert Reference(TARGET).generate(LOG, SAMPLINGS[1], 25, stop_ids=(third,)) == until
    ending = dataclasses.replace(TARGET, end_ids=frozenset({third}))
    assert Reference(ending).generate(LOG, SAMPLINGS[1], 25) == until
    assert len(Reference(TARGET).generate(LOG, SAMPLINGS[1], 10**6)) == 128 - len(LOG)


def test_the_gap_is_that_of_the_row_after_the_log() -> None:
    reference = Reference(TARGET)
    row = reference.rows(LOG)[-1]
    best, second = np.sort(row)[::-1][:2]
    assert reference.gap_at(LOG, Sampling()) == pytest.approx(float(best - second))
    expected = choice.gap(row, SAMPLINGS[1], len(LOG))
    assert reference.gap_at(LOG, SAMPLINGS[1]) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_epsilon_is_small_and_grows_as_the_temperature_falls(family: str) -> None:
    target = tiny_target(family)
    engine = TransformersEngine(target, pages=8)
    logs = [[n % 50 + 2 for n in range(start, start + 60)] for start in (1, 20)]
    greedy = measure_epsilon(engine, Reference(target), logs, 0.0)
    assert 0 < greedy < 1e-3
    assert measure_epsilon(engine, Reference(target), logs, 0.5) == pytest.approx(2 * greedy)
    assert engine.free_pages == 8


def test_an_engine_that_errs_more_has_a_larger_epsilon() -> None:
    target, other = tiny_target(), tiny_target()
    other.model.get_decoder().norm.weight.data.mul_(1.01)
    engine = TransformersEngine(other, pages=8)
    assert measure_epsilon(engine, Reference(target), [list(range(2, 40))], 0.0) > 1e-2
