"""Tasks as padded tensors: one step's tasks, drawn from the step's own seed, in two length groups.

It does not know models. Two groups save a third of the padding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Final

import torch
from transformers import PreTrainedTokenizerFast

from outrider_training.recipe import Recipe
from outrider_training.tasks import Split, Task, stream
from outrider_training.tokenizer import END, chat_prompt

IGNORED: Final = -100
_GROUPS: Final = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids (rows, length) and, shifted by one, the answer's ids; elsewhere `IGNORED`."""

    inputs: torch.Tensor
    labels: torch.Tensor


def step_tasks(recipe: Recipe, step: int) -> list[Task]:
    """The tasks of one step; a step's draw depends on nothing that came before it."""
    random = Random(f"{recipe.seed}/{step}")  # noqa: S311 - no secret
    streams = [
        stream(portion.domain, random, Split.TRAINING, portion.kinds)
        for portion in recipe.diet
        for _ in range(portion.shares)
    ]
    return [next(streams[index % len(streams)]) for index in range(recipe.tasks_per_step)]


def step_batches(recipe: Recipe, step: int, tokenizer: PreTrainedTokenizerFast) -> Iterator[Batch]:
    """The step's tasks as `_GROUPS` batches, short ones and long ones."""
    tasks = step_tasks(recipe, step)
    texts = chain((chat_prompt(task.prompt) for task in tasks), (t.answer + END for t in tasks))
    ids = tokenizer(list(texts))["input_ids"]
    pairs = sorted(
        zip(ids[: len(tasks)], ids[len(tasks) :], strict=True),
        key=lambda pair: len(pair[0]) + len(pair[1]),
    )
    size = -(-len(pairs) // _GROUPS)
    for start in range(0, len(pairs), size):
        yield _padded(pairs[start : start + size])


def _padded(pairs: list[tuple[list[int], list[int]]]) -> Batch:
    length = max(len(prompt) + len(answer) for prompt, answer in pairs) - 1
    inputs = torch.zeros(len(pairs), length, dtype=torch.long)
    labels = torch.full((len(pairs), length), IGNORED)
    for row, (prompt, answer) in enumerate(pairs):
        whole = prompt + answer
        inputs[row, : len(whole) - 1] = torch.tensor(whole[:-1])
        labels[row, len(prompt) - 1 : len(whole) - 1] = torch.tensor(answer)
    return Batch(inputs, labels)
