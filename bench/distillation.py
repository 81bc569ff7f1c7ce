"""What a draft learns from whose answers by which loss, in the shape of the OSD paper's Table 1.

    python -m bench.distillation --output docs/results/distillation.md

For every domain the shipped draft has not learnt, a student starts from it anew for each loss,
source and seed, and takes the same number of steps. Acceptance is that of the quantised file, run
by llama.cpp over held-out answers of the target.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from accelerate import Accelerator

from bench.report import Report
from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import Store
from outrider_cloud.records.writer import ShardWriter
from outrider_cloud.shipped import DEMO, resolve
from outrider_cloud.target import Target, load_target
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.questions import Question
from outrider_protos.words import Sampling
from outrider_training.course import Course, Plan
from outrider_training.distil import Distiller
from outrider_training.examples import Example, Weighting
from outrider_training.generate import Generate, generate
from outrider_training.losses import Loss, Measure
from outrider_training.mould import cast
from outrider_training.regimen import Measures, Regimen
from outrider_training.replay import Replayer
from outrider_training.sampling import Mixture, Sampler
from outrider_training.student import load_student
from outrider_training.tasks import Split
from outrider_training.tasks import generate as tasks_of

ANSWER_TOKENS = 64
BATCH = 8


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of the table; `beta` is the target's share in samples, None the records' own."""

    name: str
    loss: Loss
    beta: float | None = None


VARIANTS = (
    Variant("labels alone, target's answers", Loss.LABEL),
    Variant("forward KL, target's answers", Loss.FORWARD_KL),
    Variant("forward KL, student's answers", Loss.FORWARD_KL, 0.0),
    Variant("forward KL, mixed answers", Loss.FORWARD_KL, 0.5),
    Variant("reverse KL, target's answers", Loss.REVERSE_KL),
    Variant("JSD, target's answers", Loss.JSD),
    Variant("total variation, target's answers", Loss.TV),
    Variant("TVD++, target's answers", Loss.TVD_PLUS_PLUS),
    Variant("acceptance-aware, target's answers", Loss.ACCEPTANCE),
)


@dataclass(frozen=True, slots=True)
class Domain:
    """What the target wrote: to learn from and to judge by."""

    name: str
    training: list[Record]
    held_out: list[Record]


def written(name: str, count: int, split: Split, seed: int) -> list[Record]:
    """The target's greedy answers to generated tasks."""
    with tempfile.TemporaryDirectory() as folder, ShardWriter(Store(folder)) as writer:
        wish = Generate(
            target=resolve(DEMO),
            questions=[
                Question(prompt=task.prompt, domain=name)
                for task in tasks_of(name, seed, count, split)
            ],
            sampling=Sampling(),
            max_tokens=ANSWER_TOKENS,
            raw=False,
            domain=None,
        )
        generate(wish, writer, lambda tokens: None)
        writer.close()
        store = Store(folder)
        return [record for path in store.paths() for record in store.read(path)]


def taught(
    variant: Variant, domain: Domain, target: Target, steps: int, seed: int
) -> tuple[float, float]:
    """Acceptance of the file that came of it, and seconds of training."""
    student = load_student(SHIPPED_DRAFT)
    measures = Measures(general=Measure(loss=variant.loss))
    regimen = Regimen(measures=measures, learning_rate=1e-3, decay_steps=steps, seed=seed)
    examples = [Example.of(record, Weighting()) for record in domain.training]
    sampler = None
    if variant.beta is not None:
        mixture = Mixture(beta=variant.beta, max_tokens=ANSWER_TOKENS)
        sampler = Sampler(student, target.model, mixture, target.end_ids)
    with tempfile.TemporaryDirectory() as folder:
        scratch, began_s = Path(folder), time.perf_counter()
        distiller = Distiller(student, regimen, Accelerator(), scratch)
        plan = Plan(steps=steps, examples_per_step=BATCH, checkpoint_every=steps, seed=seed)
        Course(plan, distiller, examples, scratch, sampler).run(lambda update: None)
        seconds = time.perf_counter() - began_s
        cast(student, SHIPPED_DRAFT, scratch / "taught.gguf")
        return acceptance(scratch / "taught.gguf", domain.held_out), seconds


def acceptance(draft: Path, records: Sequence[Record]) -> float:
    """Share of positions at which the file's choice is the target's."""
    with Replayer(draft) as replayer:
        agreed = [
            flag
            for record in records
            for flag in replayer.replay(record.prompt, record.tokens, record.sampling).agreed
        ]
    return sum(agreed) / len(agreed)


def main() -> None:
    parser = argparse.ArgumentParser(description="Losses and samples, by domain.")
    parser.add_argument("--domains", nargs="+", default=["sql", "vietnamese"])
    parser.add_argument("--tasks", type=int, default=300, help="to learn from, in each domain")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    target = load_target(resolve(DEMO))
    domains = [
        Domain(
            name,
            written(name, arguments.tasks, Split.TRAINING, 1),
            written(name, 60, Split.HELD_OUT, 2),
        )
        for name in arguments.domains
    ]
    report = Report("Losses and samples", sys.argv)
    report.say(
        f"Acceptance of the quantised draft on 60 held-out answers a domain, greedy, after "
        f"{arguments.steps} steps of {BATCH} answers from {arguments.tasks} training tasks of that "
        f"domain alone, learning rate 1e-3 with warm-up and cosine; mean and standard deviation "
        f"over {arguments.seeds} seeds, which draw the steps' answers. Student's and mixed answers "
        "are sampled anew in every step at temperature 1. Seconds are of one training."
    )
    heads = [f"{domain.name}, {what}" for domain in domains for what in ("acceptance", "seconds")]
    original = [f"{acceptance(SHIPPED_DRAFT, domain.held_out):.3f}" for domain in domains]
    rows = [["the draft as it ships", *(cell for value in original for cell in (value, ""))]]
    for variant in VARIANTS:
        row = [variant.name]
        for domain in domains:
            runs = [
                taught(variant, domain, target, arguments.steps, seed)
                for seed in range(arguments.seeds)
            ]
            values, seconds = zip(*runs, strict=True)
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            row += [f"{mean(values):.3f}{spread}", f"{mean(seconds):.0f}"]
        rows.append(row)
        print(" | ".join(row), file=sys.stderr, flush=True)
    report.table(["", *heads], rows)
    report.write(arguments.output)


if __name__ == "__main__":
    main()
