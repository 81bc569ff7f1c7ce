"""Steps towards the target: they help, go on exactly, survive want of memory, and stop at NaN."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from outrider_cloud.records.record import Tops
from outrider_cloud.transformers_engine.rows import top_tokens
from outrider_training.course import Course, Plan
from outrider_training.distil import Distiller, Update
from outrider_training.errors import (
    CheckpointMismatchError,
    DivergedError,
    MemoryExhaustedError,
    TargetUnwritableError,
)
from outrider_training.examples import Example
from outrider_training.lora import add_lora
from outrider_training.losses import Loss, Measure
from outrider_training.regimen import Measures, Regimen
from outrider_training.student import agreement
from tests.training.moulds import CONFIGS, random_model

REGIMEN = Regimen(learning_rate=3e-3, warmup_steps=1)


def judged(count: int, seed: int = 0, domain: str = "sql") -> list[Example]:
    """Random texts and what a random target thinks of them."""
    target = random_model(CONFIGS["llama"], seed=7)
    draw = np.random.default_rng(seed)
    examples = []
    for index in range(count):
        prompt = tuple(draw.integers(3, 300, size=3 + index % 4).tolist())
        tokens = tuple(draw.integers(3, 300, size=5 + index % 3).tolist())
        with torch.inference_mode():
            logits = target(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
        tops = top_tokens(logits)
        choices = tuple(tops.tokens[:, 0].tolist())
        weights = np.ones(len(tokens), np.float32)
        examples.append(Example(prompt, tokens, choices, tops, weights, domain, float(index)))
    return examples


def distiller(
    scratch: Path, regimen: Regimen = REGIMEN, student: PreTrainedModel | None = None
) -> Distiller:
    student = random_model(CONFIGS["llama"], seed=1) if student is None else student
    return Distiller(student, regimen, Accelerator(cpu=True), scratch)


def same(one: PreTrainedModel, two: PreTrainedModel) -> bool:
    pairs = zip(one.state_dict().items(), two.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("loss", Loss)
def test_steps_bring_the_student_nearer(loss: Loss, tmp_path: Path) -> None:
    examples = judged(8)
    one = distiller(tmp_path, Regimen(measures=Measures(general=Measure(loss=loss))))
    updates = [one.update(examples) for _ in range(30)]
    if loss is not Loss.LABEL:  # which makes certain what the target is not
        assert updates[-1].acceptance > updates[0].acceptance + 0.1
    assert updates[0].positions == sum(len(example.tokens) for example in examples)
    assert agreement(one.student, examples, 500)["sql"] > updates[0].agreement + 0.1


def test_a_domain_may_have_a_loss_of_its_own(tmp_path: Path) -> None:
    """Two domains with a loss each move the student as each alone would, added up."""
    sql, python = judged(3, domain="sql"), judged(3, seed=1, domain="python")
    kl, tv = Measure(), Measure(loss=Loss.TV)
    mixed = Measures(general=kl, domains={"python": tv})

    def gradient(measures: Measures, examples: Sequence[Example]) -> torch.Tensor:
        one = distiller(tmp_path, Regimen(measures=measures, learning_rate=0.0, warmup_steps=1))
        found: list[torch.Tensor] = []
        weight = one.student.lm_head.weight
        weight.register_hook(lambda grad: found.append(grad.clone()))
        one.update(examples)
        return sum(found, torch.zeros(())) * sum(example.weight for example in examples)

    both = gradient(mixed, sql + python)
    alone = gradient(Measures(general=kl), sql) + gradient(Measures(general=tv), python)
    assert torch.allclose(both, alone, atol=1e-4)
    assert not torch.allclose(both, gradient(Measures(general=kl), sql + python), atol=1e-4)


def test_a_run_that_was_cut_off_goes_on_exactly(tmp_path: Path) -> None:
    examples = judged(20)
    plan = Plan(steps=6, examples_per_step=4, checkpoint_every=2, seed=3)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    straight = distiller(whole)
    Course(plan, straight, examples, whole).run(lambda update: None)

    class CutOff(Exception):
        pass

    def stop(update: Update) -> None:
        if update.step == 5:  # a step after the last checkpoint
            raise CutOff

    with pytest.raises(CutOff):
        Course(plan, distiller(cut), examples, cut).run(stop)
    resumed, steps = distiller(cut), list[int]()
    Course(plan, resumed, examples, cut).run(lambda update: steps.append(update.step))
    assert steps == [5, 6]
    assert same(resumed.student, straight.student)
    assert list((cut / "log").iterdir())
    other = distiller(cut, Regimen(learning_rate=1e-4))
    with pytest.raises(CheckpointMismatchError):
        Course(plan, other, examples, cut).run(lambda update: None)
    for strange in (
        Course(plan, distiller(cut), judged(20, seed=1), cut),
        Course(plan, distiller(cut), examples, cut, origin="another draft"),
    ):
        with pytest.raises(CheckpointMismatchError, match="other records or settings"):
            strange.run(lambda update: None)


def test_the_rate_falls_once_or_again_and_again() -> None:
    once = Regimen(learning_rate=1.0, warmup_steps=1, decay_steps=10)
    again = Regimen(learning_rate=1.0, warmup_steps=1, decay_steps=10, again=True)
    falling = [once.rate(step) for step in range(10)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] == 1.0
    assert once.rate(9) < 0.15
    assert once.rate(25) == once.rate(10) == pytest.approx(0.1)
    assert [again.rate(step) for step in range(30)] == falling * 3


def cramped(most_tokens: int) -> PreTrainedModel:
    """A student whose memory holds forwards of so many tokens."""
    student = random_model(CONFIGS["llama"], seed=1)

    def refuse(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        if arguments[0].numel() > most_tokens:
            raise torch.OutOfMemoryError

    student.model.register_forward_pre_hook(refuse)
    return student


def test_want_of_memory_halves_the_micro_batch(tmp_path: Path) -> None:
    examples = judged(12)
    roomy, narrow = distiller(tmp_path), distiller(tmp_path, student=cramped(40))
    for _ in range(3):
        one, two = roomy.update(examples), narrow.update(examples)
        assert one.loss == pytest.approx(two.loss, rel=1e-3)
    with pytest.raises(MemoryExhaustedError):
        distiller(tmp_path, student=cramped(4)).update(examples)


def poisoned() -> list[Example]:
    examples = judged(3)
    tops = examples[1].tops
    bad = Tops(tops.tokens, np.full_like(tops.logprobs, np.nan), tops.tails)
    one = examples[1]
    examples[1] = Example(one.prompt, one.tokens, one.choices, bad, one.weights, "sql", 0.0)
    return examples


def test_a_loss_that_is_no_number_stops_with_its_batch(tmp_path: Path) -> None:
    one = distiller(tmp_path)
    before = {name: weights.clone() for name, weights in one.student.state_dict().items()}
    with pytest.raises(DivergedError, match="step 0") as stopped:
        one.update(poisoned())
    assert all(torch.equal(before[n], w) for n, w in one.student.state_dict().items())
    (kept,) = tmp_path.glob("diverged-*")
    assert kept.name in str(stopped.value)
    assert [each["tokens"] for each in torch.load(kept)] == [e.tokens for e in judged(3)]
    assert one.update(judged(3)).loss > 0  # nothing of it is left behind


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(TargetUnwritableError):
        distiller(tmp_path).save(tmp_path / "none" / "checkpoint", "run")


def test_lora_changes_little_and_merges_exactly(tmp_path: Path) -> None:
    student = random_model(CONFIGS["llama"], seed=1)
    adapted = add_lora(student, 4)
    examples = judged(6)
    one = distiller(tmp_path, Regimen(learning_rate=1e-2), student)
    frozen = student.model.embed_tokens.weight.clone()
    updates = [one.update(examples) for _ in range(16)]
    assert updates[-1].acceptance > updates[0].acceptance
    assert torch.equal(student.model.embed_tokens.weight, frozen)
    tokens = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        through: Any = student(tokens).logits
        merged = adapted.merge_and_unload()
        assert torch.allclose(merged(tokens).logits, through, atol=1e-4)
    assert merged.state_dict().keys() == random_model(CONFIGS["llama"]).state_dict().keys()


@pytest.mark.long
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    one = distiller(tmp_path)
    alone = [one.update(judged(5)).figures() for _ in range(3)]
    script = Path(__file__).with_name("two_processes.py")
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    ran = subprocess.run(
        [sys.executable, *launch, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    together = json.loads((tmp_path / "together.json").read_text())
    for mine, theirs in zip(alone, together, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)
