"""What a target writes to prompts, and how much of it a draft would have proposed.

It does not know what is learnt from them.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import Store
from outrider_cloud.records.writer import ShardWriter
from outrider_cloud.shipped import DEMO, resolve
from outrider_edge.questions import Question
from outrider_protos.words import Sampling
from outrider_training.generate import Generate, generate
from outrider_training.replay import Replayer
from outrider_training.tasks import Split
from outrider_training.tasks import generate as tasks_of


def task_answers(domain: str, count: int, split: Split, seed: int) -> list[Record]:
    """The demo target's greedy answers to generated tasks."""
    tasks = tasks_of(domain, seed, count, split)
    questions = [Question(prompt=task.prompt, domain=domain) for task in tasks]
    return answers(resolve(DEMO), questions, max_tokens=64)


def answers(
    target: str, questions: Sequence[Question], *, max_tokens: int, raw: bool = False
) -> list[Record]:
    """The target's greedy answers."""
    with tempfile.TemporaryDirectory() as folder, ShardWriter(Store(folder)) as writer:
        wish = Generate(
            target=target,
            questions=questions,
            sampling=Sampling(),
            max_tokens=max_tokens,
            raw=raw,
            domain=None,
        )
        generate(wish, writer, lambda tokens: None)
        writer.close()
        store = Store(folder)
        return [record for path in store.paths() for record in store.read(path)]


def agreed(draft: Path, records: Sequence[Record]) -> list[tuple[bool, ...]]:
    """Position by position, whether the file's choice is the target's."""
    with Replayer(draft) as replayer:
        return [
            replayer.replay(record.prompt, record.tokens, record.sampling).agreed
            for record in records
        ]


def acceptance(draft: Path, records: Sequence[Record]) -> float:
    """Share of positions at which the file's choice is the target's."""
    flags = [flag for answer in agreed(draft, records) for flag in answer]
    return sum(flags) / len(flags)
