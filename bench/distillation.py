"""What a draft learns from whose answers by which loss, in the shape of the OSD paper's Table 1.

    python -m bench.distillation --output docs/results/distillation.md

For every domain the shipped draft has not learnt, a student starts from it anew for each loss,
source and seed, and takes the same number of steps. Acceptance is that of the quantised file, run
by llama.cpp over held-out answers of the target.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from bench.answers import acceptance, task_answers
from bench.report import Report, spread
from bench.teaching import plan_of, taught
from outrider_cloud.records.record import Record
from outrider_cloud.shipped import DEMO, resolve
from outrider_cloud.target import Target, load_target
from outrider_edge.config import SHIPPED_DRAFT
from outrider_training.losses import Loss, Measure
from outrider_training.mould import cast
from outrider_training.regimen import Measures, Regimen
from outrider_training.sampling import Mixture, Sampler
from outrider_training.student import load_student
from outrider_training.tasks import Split

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


def tried(
    variant: Variant, domain: Domain, target: Target, steps: int, rate: float, seed: int
) -> tuple[float, float]:
    """Acceptance of the file that came of it, and seconds of training."""
    student = load_student(SHIPPED_DRAFT)
    measures = Measures(general=Measure(loss=variant.loss))
    regimen = Regimen(measures=measures, learning_rate=rate, decay_steps=steps, seed=seed)
    sampler = None
    if variant.beta is not None:
        mixture = Mixture(beta=variant.beta, max_tokens=ANSWER_TOKENS)
        sampler = Sampler(student, target.model, mixture, target.end_ids)
    seconds = taught(student, domain.training, plan_of(steps, BATCH, seed), regimen, sampler)
    with tempfile.TemporaryDirectory() as folder:
        cast(student, SHIPPED_DRAFT, Path(folder) / "taught.gguf")
        return acceptance(Path(folder) / "taught.gguf", domain.held_out), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Losses and samples, by domain.")
    parser.add_argument("--domains", nargs="+", default=["sql", "vietnamese"])
    parser.add_argument("--tasks", type=int, default=300, help="to learn from, in each domain")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    target = load_target(resolve(DEMO))
    domains = [
        Domain(
            name,
            task_answers(name, arguments.tasks, Split.TRAINING, 1),
            task_answers(name, 60, Split.HELD_OUT, 2),
        )
        for name in arguments.domains
    ]
    report = Report("Losses and samples", sys.argv)
    report.say(
        f"Acceptance of the quantised draft on 60 held-out answers a domain, greedy, after "
        f"{arguments.steps} steps of {BATCH} answers from {arguments.tasks} training tasks of that "
        f"domain alone, learning rate {arguments.learning_rate:g} with warm-up and cosine; mean "
        f"and standard deviation over {arguments.seeds} seeds, which draw the steps' answers. "
        "Student's and mixed answers "
        "are sampled anew in every step at temperature 1. Seconds are of one training."
    )
    heads = [f"{domain.name}, {what}" for domain in domains for what in ("acceptance", "seconds")]
    original = [f"{acceptance(SHIPPED_DRAFT, domain.held_out):.3f}" for domain in domains]
    rows = [["the draft as it ships", *(cell for value in original for cell in (value, ""))]]
    for variant in VARIANTS:
        row = [variant.name]
        for domain in domains:
            runs = [
                tried(variant, domain, target, arguments.steps, arguments.learning_rate, seed)
                for seed in range(arguments.seeds)
            ]
            values, seconds = zip(*runs, strict=True)
            row += [spread(values), f"{mean(seconds):.0f}"]
        rows.append(row)
        print(" | ".join(row), file=sys.stderr, flush=True)
    report.table(["", *heads], rows)
    report.write(arguments.output)


if __name__ == "__main__":
    main()
