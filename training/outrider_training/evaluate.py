"""The figures of the demo pair on tasks with known answers: exact answers and acceptance.

Acceptance is teacher-forced: the share of the target's own greedy tokens that the draft would
have chosen, given the target's text so far. It does not know which figures are good enough.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from outrider_training.gguf_model import GgufModel
from outrider_training.tasks import Task
from outrider_training.tokenizer import END, chat_prompt

ANSWER_LIMIT: Final = 96
_ROWS: Final = 64


@dataclass(frozen=True, slots=True)
class Answered:
    """A task as token ids: the prompt, and one model's greedy answer with its end token."""

    task: Task
    prompt: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DraftFigures:
    """Shares between 0 and 1 for one domain."""

    exact: float
    acceptance: float


def answer_all(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tasks: Sequence[Task]
) -> list[Answered]:
    """The model's greedy answers; prompts of one length share a batch, so nothing is padded."""
    by_length: defaultdict[int, list[tuple[Task, list[int]]]] = defaultdict(list)
    for task in tasks:
        prompt = tokenizer(chat_prompt(task.prompt)).input_ids
        by_length[len(prompt)].append((task, prompt))
    answered: list[Answered] = []
    for rows in by_length.values():
        for start in range(0, len(rows), _ROWS):
            answered += _answer_batch(model, rows[start : start + _ROWS])
    return answered


def _answer_batch(
    model: LlamaForCausalLM, rows: Sequence[tuple[Task, list[int]]]
) -> list[Answered]:
    prompts = torch.tensor([prompt for _, prompt in rows], device=model.device)
    end = model.config.eos_token_id
    with torch.inference_mode():
        whole = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=ANSWER_LIMIT,
            do_sample=False,
            pad_token_id=end,
        )
    answers = whole[:, prompts.shape[1] :].tolist()
    return [
        Answered(task, tuple(prompt), tuple(_through_end(answer, end)))
        for (task, prompt), answer in zip(rows, answers, strict=True)
    ]


def _through_end(answer: list[int], end: int) -> list[int]:
    return answer[: answer.index(end) + 1] if end in answer else answer


def exact_share(answered: Sequence[Answered], tokenizer: PreTrainedTokenizerFast) -> float:
    """The share of answers that equal the known one, end token included."""
    right = [tokenizer.decode(one.answer) == one.task.answer + END for one in answered]
    return right.count(True) / len(answered)


def draft_figures(
    draft: GgufModel, tokenizer: PreTrainedTokenizerFast, answered: Sequence[Answered]
) -> DraftFigures:
    """The draft's own exact answers, and its acceptance on the target's text."""
    own = [
        Answered(one.task, one.prompt, tuple(draft.greedy(one.prompt, ANSWER_LIMIT)))
        for one in answered
    ]
    agreed = sum(_agreements(draft, one) for one in answered)
    tokens = sum(len(one.answer) for one in answered)
    return DraftFigures(exact_share(own, tokenizer), agreed / tokens)


def _agreements(draft: GgufModel, one: Answered) -> int:
    choices = draft.logits([*one.prompt, *one.answer[:-1]])[len(one.prompt) - 1 :].argmax(axis=-1)
    return int((choices == one.answer).sum())
