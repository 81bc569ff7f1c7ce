"""The target alone, as a command: what it writes, and where an answer differs from that."""

import dataclasses
import json
from typing import Any

import pytest

from outrider_cloud.alone import Alone, BadRequest, replies
from outrider_cloud.reference import Reference
from outrider_cloud.transformers_engine.engine import TransformersEngine
from outrider_protos.words import Sampling
from tests.cloud.engine.tiny import tiny_target

LOG = [5, 9, 2, 40, 7]
END = 25
TARGET = dataclasses.replace(tiny_target(), end_ids=frozenset())
SAMPLINGS: list[dict[str, object]] = [{}, {"temperature": 0.8, "top_k": 20, "seed": 123}]


@pytest.fixture(scope="module")
def alone() -> Alone:
    return Alone(Reference(TARGET), TransformersEngine(TARGET, pages=4, threads=1))


def ask(alone: Alone, **request: object) -> dict[str, Any]:
    (reply,) = replies(alone, [json.dumps({"log": LOG, "max_length": END} | request)])
    said: dict[str, Any] = json.loads(reply)
    return said


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "sampled"])
def test_it_writes_what_the_reference_writes(alone: Alone, sampling: dict[str, object]) -> None:
    expected = Reference(TARGET).generate(LOG, Sampling(**sampling), END)  # type: ignore[arg-type]
    assert ask(alone, sampling=sampling) == {"tokens": expected}
    third = expected[2]
    stopped = ask(alone, sampling=sampling, stop_ids=[third])
    assert stopped == {"tokens": expected[: expected.index(third) + 1]}


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "sampled"])
def test_its_own_answer_does_not_differ(alone: Alone, sampling: dict[str, object]) -> None:
    own = ask(alone, sampling=sampling)["tokens"]
    said = ask(alone, sampling=sampling, answer=own)
    assert said["differences"] == []
    assert 0 < said["epsilon"] < 0.01


def test_every_wrong_token_is_found_with_its_gap(alone: Alone) -> None:
    own = ask(alone)["tokens"]
    wrong = [*own]
    wrong[3] = (own[3] + 1) % 50
    wrong[4:] = Reference(TARGET).generate(LOG + wrong[:4], Sampling(), END)
    (difference,) = ask(alone, answer=wrong)["differences"]
    gap = Reference(TARGET).gap_at(LOG + own[:3], Sampling())
    assert difference == {"index": len(LOG) + 3, "gap": gap, "near_tie": False}


def test_an_answer_that_ends_too_early_differs(alone: Alone) -> None:
    own = ask(alone)["tokens"]
    differences = ask(alone, answer=own[:-1])["differences"]
    assert differences == [{"index": END - 1, "gap": None, "near_tie": False}]


def test_a_gap_below_epsilon_is_a_near_tie(alone: Alone) -> None:
    """A target whose two best tokens are equal: rounding alone chooses between them."""
    model = tiny_target().model
    head = model.get_output_embeddings().weight.data
    best = Reference(TARGET).generate(LOG, Sampling(), len(LOG) + 1)[0]
    other = (best + 1) % 50
    head[other] = head[best] * (1 + 1e-6)
    tied = dataclasses.replace(TARGET, model=model)
    machine = Alone(Reference(tied), TransformersEngine(tied, pages=4, threads=1))
    reply = ask(machine, max_length=len(LOG) + 1)
    (chosen,) = reply["tokens"]
    answer = [best if chosen == other else other]
    said = ask(machine, max_length=len(LOG) + 1, answer=answer)
    (difference,) = said["differences"]
    assert difference["near_tie"] is True
    assert difference["gap"] < said["epsilon"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: it: "),
        ('{"max_length": 9}', "line 2: log: "),
        ('{"log": [], "max_length": 9}', "line 2: log: "),
        ('{"log": [-1], "max_length": 9}', "line 2: log.0: "),
        ('{"log": [9999], "max_length": 9}', "line 2: holds a token id above 60"),
        ('{"log": [1], "max_length": 9, "answer": [9999]}', "line 2: holds a token id above 60"),
        ('{"log": [1], "max_length": 9, "sampling": {"temperature": NaN}}', "line 2: sampling"),
        ('{"log": [1], "max_length": 9, "penalty": 1}', "line 2: penalty: "),
    ],
)
def test_a_bad_line_is_named_and_the_ones_before_it_answered(
    alone: Alone, line: str, said: str
) -> None:
    answered = replies(alone, [json.dumps({"log": LOG, "max_length": 6}), line])
    assert len(json.loads(next(answered))["tokens"]) == 1
    with pytest.raises(BadRequest) as caught:
        next(answered)
    assert str(caught.value).startswith(said)
