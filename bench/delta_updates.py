"""Updates that a draft really learns, by the demo's recipe: delta, adapter or full file, which is
the smallest?

    python -m bench.delta_updates

Everything begins from the draft that ships, with answers of the demo's target. The worker's files
come one after another, each learnt on from the student of the one before; lessons are offline.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from statistics import median

import numpy as np
import zstandard

from bench.answers import acceptance, task_answers
from bench.changes import changes
from bench.report import Report
from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import Store
from outrider_cloud.records.writer import ShardWriter
from outrider_edge.config import SHIPPED_DRAFT
from outrider_training.cadence import Rhythm
from outrider_training.course import Plan
from outrider_training.delta import make_delta
from outrider_training.gate import Terms
from outrider_training.lesson import Lesson, learn
from outrider_training.online import Attempt, Online, OnlineRun
from outrider_training.regimen import Regimen
from outrider_training.tasks import DOMAINS, Split

OTHERS, STREAM = ("english", "python", "japanese"), ("sql", "vietnamese")
BATCH = 16
EVERY, MARGIN = 40, 0.02  # of the demo's worker
HELD_OUT = 12  # answers of each domain
FORMS = ("delta, bytes", "adapter", "full file")


@dataclass(frozen=True, slots=True)
class Update:
    """One file that may take the place of another."""

    name: str
    base: Path
    new: Path
    adapter: Path | None = None


def recorded(folder: Path, before: int, questions: int) -> Path:
    """A store of answers: so many of each other domain, then the stream, its domains in turn."""
    others = [task_answers(domain, before, Split.TRAINING, 12) for domain in OTHERS]
    stream = [task_answers(domain, questions // 2, Split.TRAINING, 11) for domain in STREAM]
    with ShardWriter(Store(str(folder))) as writer:
        for record in chain(chain(*others), chain(*zip(*stream, strict=True))):
            writer.add(record)
    return folder


def of_worker(records: Path, folder: Path) -> list[Update]:
    """Every file that the worker puts forward, over the one before it; the last over the first."""
    files = [SHIPPED_DRAFT]
    run = OnlineRun(
        records=str(records),
        draft=SHIPPED_DRAFT,
        output=folder / "drafts",
        rhythm=Rhythm(every=EVERY),
        terms=Terms(margin=MARGIN, fewest=8),
    )

    def told(attempt: Attempt) -> None:
        if attempt.file is not None:  # the worker keeps only its newest
            kept = folder / f"worker-{attempt.number}.gguf"
            files.append(Path(shutil.copy(attempt.file, kept)))

    with closing(Online(run)) as online:
        online.turn(told, lambda: False)
    pairs = pairwise(files)
    steps = [Update(f"worker, file {n}", old, new) for n, (old, new) in enumerate(pairs, 1)]
    return [*steps, Update("worker, the last over the first", files[0], files[-1])]


def of_lesson(records: Path, folder: Path, *, steps: int, rank: int | None) -> Update:
    """What `outrider-train distil` makes of the same answers."""
    name = f"{steps} steps, {'full' if rank is None else f'LoRA of rank {rank}'}"
    output, adapter = folder / f"{steps}-{rank}.gguf", folder / f"{steps}-{rank}.adapter"
    lesson = Lesson(
        records=str(records),
        draft=SHIPPED_DRAFT,
        output=output,
        scratch=folder / "scratch",
        regimen=Regimen(decay_steps=steps),
        plan=Plan(steps=steps, examples_per_step=BATCH),
        lora_rank=rank,
        adapter=None if rank is None else adapter,
    )
    learn(lesson, lambda update: None)
    return Update(name, SHIPPED_DRAFT, output, lesson.adapter)


def row(update: Update, held_out: Sequence[Record], scratch: Path) -> list[str]:
    """What the update is worth, its relative size, and its forms' sizes, the smallest in bold."""
    found = changes(update.base, update.new)
    matrices = [change for name, change in found.items() if "norm" not in name]
    base, new = (np.fromfile(path, np.uint8) for path in (update.base, update.new))
    adapter = None if update.adapter is None else update.adapter.stat().st_size
    forms = (make_delta(update.base, update.new, scratch / "delta"), adapter, new.size)
    least = min(size for size in forms if size is not None)
    made = [
        update.name,
        f"{acceptance(update.new, held_out):.3f}",
        f"{median(matrices):.3f} ({min(matrices):.3f} to {max(matrices):.3f})",
        f"{(base != new).mean():.3f}",
        *(_size(size, least) for size in forms),
        f"{least / new.size:.3f}",
    ]
    print(" | ".join(made), file=sys.stderr, flush=True)
    return made


def _size(size: int | None, least: int) -> str:
    if size is None:
        return ""
    return f"**{size:,}**" if size == least else f"{size:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Sizes of updates that were learnt.")
    parser.add_argument("--before", type=int, default=60, help="answers of each other domain")
    parser.add_argument("--questions", type=int, default=160, help="in the stream")
    parser.add_argument("--steps", type=int, nargs="+", default=[40, 160], help="of the lessons")
    parser.add_argument("--ranks", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    held_out = [r for d in DOMAINS for r in task_answers(d, HELD_OUT, Split.HELD_OUT, 2026)]
    report = Report("Updates that were learnt", sys.argv)
    report.say(
        f"The shipped draft is Q8_0 and agrees with {acceptance(SHIPPED_DRAFT, held_out):.3f} of "
        f"the target's tokens in {HELD_OUT} held-out answers of each of {len(DOMAINS)} domains. "
        f"Learnt from {arguments.before} answers each about {', '.join(OTHERS)} and then "
        f"{arguments.questions} about {' and '.join(STREAM)} in turn: by the demo's worker (every "
        f"{EVERY} answers, 40 steps of {BATCH}), and by lessons from the shipped draft. Relative "
        "size of the update: root mean square of what changed over that of what was, of each "
        f"matrix as stored; median and range. zstd level 19 (zstandard {zstandard.__version__})."
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = recorded(folder / "records", arguments.before, arguments.questions)
        updates = of_worker(records, folder)
        for steps in arguments.steps:
            for rank in (None, *arguments.ranks):
                updates.append(of_lesson(records, folder, steps=steps, rank=rank))
        rows = [row(update, held_out, folder) for update in updates]
    report.table(
        ("update", "acceptance", "relative size", "bytes changed", *FORMS, "smallest over full"),
        rows,
    )
    report.write(arguments.output)


if __name__ == "__main__":
    main()
