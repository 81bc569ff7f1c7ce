"""Self-written tasks with known answers, drawn from a seed, in five domains."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from random import Random
from typing import Final

from outrider_training.tasks import python_functions, sql
from outrider_training.tasks.english import ENGLISH
from outrider_training.tasks.japanese import JAPANESE
from outrider_training.tasks.task import Kinds, Split, Task
from outrider_training.tasks.vietnamese import VIETNAMESE

KINDS: Final[Mapping[str, Kinds]] = {
    "english": ENGLISH.kinds(),
    "python": python_functions.kinds(),
    "sql": sql.kinds(),
    "vietnamese": VIETNAMESE.kinds(),
    "japanese": JAPANESE.kinds(),
}
DOMAINS: Final = tuple(KINDS)


def stream(
    domain: str, random: Random, split: Split, kinds: Collection[str] | None = None
) -> Iterator[Task]:
    """Draw tasks of one side of the split without end; `kinds` narrows the domain."""
    names = [name for name in KINDS[domain] if kinds is None or name in kinds]
    while True:
        prompt, answer = KINDS[domain][random.choice(names)](random)
        task = Task(domain, prompt, answer)
        if task.split is split:
            yield task


def generate(
    domain: str,
    seed: int,
    count: int,
    split: Split = Split.HELD_OUT,
    kinds: Collection[str] | None = None,
) -> tuple[Task, ...]:
    """The first `count` different tasks that the seed draws."""
    seen: set[str] = set()

    def fresh(task: Task) -> bool:
        new = task.prompt not in seen
        seen.add(task.prompt)
        return new

    random = Random(f"{domain}/{seed}")  # noqa: S311 - no secret
    drawn = stream(domain, random, split, kinds)
    return tuple(islice(filter(fresh, drawn), count))


__all__ = ["DOMAINS", "KINDS", "Split", "Task", "generate", "stream"]
