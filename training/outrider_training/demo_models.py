"""The demo pair from nothing: tokenizer, target, draft, its GGUF, the held-out tasks, the figures.

Everything is made in a scratch folder; what ships is replaced only if every band holds.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from outrider_training.bands import DEMO_BANDS, Bands, PairFigures
from outrider_training.convert import convert
from outrider_training.errors import QualityError, TargetUnwritableError
from outrider_training.evaluate import answer_all, draft_figures, exact_share
from outrider_training.gguf_model import GgufModel
from outrider_training.pretrain import train
from outrider_training.quantize import StorageType
from outrider_training.recipe import DRAFT, TARGET, Recipe
from outrider_training.tasks import DOMAINS, Split, Task, generate
from outrider_training.tokenizer import train_tokenizer

TASKS_SEED: Final = 2026
SHIPPED_TASKS: Final = 40
DRAFT_TYPE: Final = StorageType.Q8_0
_TOKENIZER_SEED: Final = 1
_TOKENIZER_TASKS: Final = 3000

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """A pair to train, and what it must reach on how many held-out tasks of each domain."""

    target: Recipe
    draft: Recipe
    bands: Bands
    measured_tasks: int


DEMO_PLAN: Final = Plan(TARGET, DRAFT, DEMO_BANDS, measured_tasks=200)


@dataclass(frozen=True, slots=True)
class PairPaths:
    """Where the three parts of the pair lie."""

    target: Path
    draft: Path
    tasks: Path

    @staticmethod
    def shipped() -> "PairPaths":
        """Inside the installed packages."""
        edge = Path(str(files("outrider_edge"))) / "models"
        cloud = Path(str(files("outrider_cloud"))) / "models"
        return PairPaths(cloud / "demo-target", edge / "demo-draft.gguf", edge / "demo-tasks.jsonl")

    @staticmethod
    def within(folder: Path) -> "PairPaths":
        """The same names in one folder."""
        return PairPaths(
            folder / "demo-target", folder / "demo-draft.gguf", folder / "demo-tasks.jsonl"
        )


def build_pair(
    plan: Plan, scratch: Path, shipped: PairPaths, device: torch.device, report: Report
) -> None:
    """Train, convert, measure and, if every band holds, ship; else raise `QualityError`.

    `scratch` keeps checkpoints, so that a run that was cut off goes on.
    """
    made = PairPaths.within(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    tokenizer = demo_tokenizer()
    draft_folder = scratch / "demo-draft"
    for recipe, folder in ((plan.draft, draft_folder), (plan.target, made.target)):
        _train_into(folder, recipe, tokenizer, device, report)
    convert(draft_folder, made.draft, DRAFT_TYPE, "Outrider demo draft")
    made.tasks.write_text(tasks_text(), encoding="utf-8")
    figures = measure_pair(made, plan.measured_tasks)
    for line in figures.lines():
        report(line)
    if misses := plan.bands.misses(figures):
        raise QualityError(misses)
    _ship(made, shipped)


def demo_tokenizer() -> PreTrainedTokenizerFast:
    """The pair's tokenizer, learnt from training tasks of every domain."""
    tasks = (
        task
        for domain in DOMAINS
        for task in generate(domain, _TOKENIZER_SEED, _TOKENIZER_TASKS, Split.TRAINING)
    )
    return train_tokenizer(f"{task.prompt}\n{task.answer}" for task in tasks)


def held_out_tasks(each: int) -> list[Task]:
    """The first held-out tasks of every domain; fewer are the beginning of more."""
    return [task for domain in DOMAINS for task in generate(domain, TASKS_SEED, each)]


def tasks_text() -> str:
    """The shipped tasks, one JSON object a line."""
    tasks = held_out_tasks(SHIPPED_TASKS)
    return "".join(json.dumps(asdict(task), ensure_ascii=False) + "\n" for task in tasks)


def measure_pair(paths: PairPaths, each: int) -> PairFigures:
    """The figures on `each` held-out tasks a domain, of the files as they lie there."""
    target = LlamaForCausalLM.from_pretrained(paths.target, dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(paths.target)
    answered = {
        domain: answer_all(target, tokenizer, generate(domain, TASKS_SEED, each))
        for domain in DOMAINS
    }
    with GgufModel(paths.draft) as draft:
        return PairFigures(
            {domain: exact_share(answers, tokenizer) for domain, answers in answered.items()},
            {domain: draft_figures(draft, tokenizer, some) for domain, some in answered.items()},
        )


def _train_into(
    folder: Path,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    device: torch.device,
    report: Report,
) -> None:
    began = time.monotonic()
    model = train(recipe, tokenizer, folder.with_suffix(".checkpoint"), device, report)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    parameters = sum(weights.numel() for weights in model.parameters())
    minutes = (time.monotonic() - began) / 60
    report(f"{recipe.name}: {parameters:,} parameters, {minutes:.1f} minutes")


def _ship(made: PairPaths, shipped: PairPaths) -> None:
    fresh = shipped.target.with_suffix(".new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(made.target, fresh, copy_function=shutil.copyfile)
        for source, target in ((made.draft, shipped.draft), (made.tasks, shipped.tasks)):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".new")
            shutil.copyfile(source, partial)
            partial.replace(target)
        shutil.rmtree(shipped.target, ignore_errors=True)
        fresh.replace(shipped.target)
    except OSError as error:
        raise TargetUnwritableError(shipped.target.parent, str(error)) from error
