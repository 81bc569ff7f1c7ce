"""A stream of questions that changes its domain: what becomes of a draft that is left alone, one
that learns as the online paper's reference does, and one that learns as ours.

    python -m bench.shift --output docs/results/shift.md

Answers are the target's; what a draft would have proposed in them is found by replay, which is how
it would have been live. Drafts distilled offline, on other questions of the same domains, are
replayed over the same stream.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from bench.answers import acceptance, agreed, task_answers
from bench.learners import Learner, Reference, Static, Worker, as_answered
from bench.report import Report, spread
from bench.teaching import plan_of, taught
from outrider_cloud.records.record import Record
from outrider_edge.config import SHIPPED_DRAFT
from outrider_training.mould import cast
from outrider_training.regimen import Regimen
from outrider_training.student import load_student
from outrider_training.tasks import DOMAINS, Split

BATCH = 16
PORTION = 8  # answers between two looks at the learner
FIRST, LAST = 20, 50
SHARES = (0.3, 0.7, 1.0)

Windows = dict[str, tuple[float, float]]  # by domain: its first and its last answers


@dataclass(frozen=True, slots=True)
class Scene:
    """What is asked in turn, and what everything is judged by afterwards."""

    stream: Mapping[str, Sequence[Record]]
    others: Mapping[str, Sequence[Record]]  # to learn offline from
    before: Sequence[Record]  # answers in the domains that the draft was made for
    held_out: Mapping[str, Sequence[Record]]


@dataclass(slots=True)
class Found:
    """Of one way to learn, a number for every seed."""

    windows: list[Windows] = field(default_factory=list)
    held_out: list[dict[str, float]] = field(default_factory=list)
    training_s: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)


def scene(domains: Sequence[str], count: int, seed: int) -> Scene:
    """Questions of the stream, of the offline sets and of the judgement are all different."""
    stream = {d: task_answers(d, count, Split.TRAINING, seed) for d in domains}
    asked = {record.prompt for records in stream.values() for record in records}

    def unasked(domain: str, count: int) -> list[Record]:
        drawn = task_answers(domain, count, Split.TRAINING, 1000 + seed)
        return [record for record in drawn if record.prompt not in asked]

    return Scene(
        stream=stream,
        others={domain: unasked(domain, count) for domain in domains},
        before=[record for domain in ("english", "python") for record in unasked(domain, 60)],
        held_out={d: task_answers(d, 40, Split.HELD_OUT, 2000 + seed) for d in DOMAINS},
    )


def meet(learner: Learner, stream: Mapping[str, Sequence[Record]]) -> Windows:
    """Show the whole stream to a learner, a portion at a time."""
    windows: Windows = {}
    for domain, records in stream.items():
        seen: list[tuple[bool, ...]] = []
        for begin in range(0, len(records), PORTION):
            portion = records[begin : begin + PORTION]
            flags = agreed(learner.draft, portion)
            seen += flags
            learner.learn([as_answered(r, f) for r, f in zip(portion, flags, strict=True)])
        windows[domain] = _share(seen[:FIRST]), _share(seen[-LAST:])
    return windows


def offline(records: Sequence[Record], steps: int, seed: int, folder: Path) -> tuple[Path, float]:
    """A file distilled on these answers, and the seconds that took."""
    student, file = load_student(SHIPPED_DRAFT), Path(tempfile.mkdtemp(dir=folder)) / "new.gguf"
    regimen = Regimen(decay_steps=steps, seed=seed)
    seconds = taught(student, records, plan_of(steps, BATCH, seed), regimen)
    cast(student, SHIPPED_DRAFT, file)
    return file, seconds


def one_seed(domains: Sequence[str], count: int, seed: int, found: dict[str, Found]) -> None:
    """Add this seed's numbers for every way."""
    setting = scene(domains, count, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ways: dict[str, Learner] = {
            "left alone": Static(SHIPPED_DRAFT),
            "reference, a step": Reference(SHIPPED_DRAFT, _in(folder), every=8, steps=1, seed=seed),
            "reference, 10 steps": Reference(
                SHIPPED_DRAFT, _in(folder), every=8, steps=10, seed=seed
            ),
            "ours": Worker(SHIPPED_DRAFT, _in(folder), setting.before, seed=seed),
        }
        for way, learner in ways.items():
            _note(found, way, learner, setting)
        for share in SHARES:
            part = [r for rs in setting.others.values() for r in rs[: round(share * len(rs))]]
            lengths = {"two epochs": 2 * len(part) // BATCH, "as many steps": ways["ours"].steps}
            for length, steps in lengths.items():
                draft, seconds = offline(part, steps, seed, folder)
                learner = Static(draft)
                learner.training_s, learner.steps = seconds, steps
                _note(found, f"offline on {share:.0%}, {length}", learner, setting)


def _note(found: dict[str, Found], way: str, learner: Learner, setting: Scene) -> None:
    into = found.setdefault(way, Found())
    into.windows.append(meet(learner, setting.stream))
    into.held_out.append({d: acceptance(learner.draft, r) for d, r in setting.held_out.items()})
    into.training_s.append(learner.training_s)
    into.steps.append(learner.steps)
    print(way, into.windows[-1], into.held_out[-1], learner.training_s, file=sys.stderr, flush=True)


def _in(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def _share(answers: Sequence[Sequence[bool]]) -> float:
    flags = [flag for answer in answers for flag in answer]
    return sum(flags) / len(flags)


def main() -> None:
    parser = argparse.ArgumentParser(description="A stream that changes its domain.")
    parser.add_argument("--domains", nargs="+", default=["python", "sql", "vietnamese", "japanese"])
    parser.add_argument("--questions", type=int, default=160, help="of each domain")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    found: dict[str, Found] = {}
    for seed in range(arguments.seeds):
        one_seed(arguments.domains, arguments.questions, seed, found)
    report = Report("A stream that changes its domain", sys.argv)
    report.say(
        f"{arguments.questions} questions each of {', '.join(arguments.domains)}, one domain after "
        f"another, greedy; mean and standard deviation over {arguments.seeds} seeds, which draw "
        "the questions. Acceptance is the share of the target's tokens that the quantised file "
        "would have proposed. All begin from the draft that ships, which knows English and Python."
    )
    report.heading("Acceptance along the stream")
    report.say(f"First {FIRST} → last {LAST} answers of a domain.")
    rows = []
    for way, each in found.items():
        cells = []
        for domain in arguments.domains:
            first, last = zip(*(windows[domain] for windows in each.windows), strict=True)
            cells.append(f"{mean(first):.3f} → {spread(last)}")
        rows.append([way, *cells])
    report.table(["", *arguments.domains], rows)
    report.heading("Afterwards")
    report.say("Acceptance on 40 held-out answers of every domain, optimiser steps, and seconds.")
    rows = [
        [
            way,
            *(spread([held[domain] for held in each.held_out]) for domain in DOMAINS),
            f"{mean(each.steps):.0f}",
            f"{mean(each.training_s):.0f}",
        ]
        for way, each in found.items()
    ]
    report.table(["", *DOMAINS, "steps", "seconds"], rows)
    report.write(arguments.output)


if __name__ == "__main__":
    main()
