"""Drafts that are better or worse than each other by construction, and answers to tell them by.

All are the shipped file with some weights replaced by noise: one mould, so deltas between them are
small. Answers are what the unspoilt file itself would write, so that it is right everywhere.
"""

from functools import cache
from pathlib import Path

import numpy as np
from gguf import GGUFReader

from outrider_edge.audit import draft_choices
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.draft import Detail, Leaf
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.llama.model import Model
from outrider_edge.releases.recent import RecentAnswer
from outrider_protos.release import Golden
from outrider_protos.words import Sampling

_PROMPTS = ("What is 12 + 30?", "Name a colour.", "def add(a, b):", "SELECT name FROM", "Hello!")
_TOKENS = 12


def spoiled(target: Path, share: float, seed: int = 0) -> Path:
    """The shipped draft with so much of some matrices turned to noise."""
    data = bytearray(SHIPPED_DRAFT.read_bytes())
    chance = np.random.default_rng(seed)
    for tensor in GGUFReader(SHIPPED_DRAFT).tensors:
        if not tensor.name.endswith("ffn_down.weight"):
            continue
        first = int(tensor.data_offset)
        # Q8_0: a scale of two bytes, 32 weights
        blocks = np.frombuffer(data, np.uint8, tensor.n_bytes, first).reshape(-1, 34)
        noise = chance.integers(0, 256, blocks.shape, np.uint8)
        noise[:, :2] = blocks[:, :2]
        chosen = chance.random(len(blocks)) < share
        data[first : first + tensor.n_bytes] = np.where(chosen[:, None], noise, blocks).tobytes()
    target.write_bytes(data)
    return target


@cache
def answers(draft: str, count: int) -> tuple[RecentAnswer, ...]:
    """What a device that used this draft has kept; all that the unspoilt draft would write."""
    with Model(SHIPPED_DRAFT) as model:
        right = LlamaDraft(model, ContextSettings())
        texts = [(_prompt(model, number), number) for number in range(count)]
        kept = tuple(
            RecentAnswer(
                draft=draft,
                failed=False,
                domain="odd" if number % 2 else "even",
                prompt=prompt,
                tokens=_written(right, prompt),
                sampling=Sampling(),
            )
            for prompt, number in texts
        )
        right.close()
    return kept


def golden(draft: Path) -> Golden:
    """What this file chooses along a text, here."""
    with Model(draft) as model:
        tokens = _prompt(model, 0) + _prompt(model, 1)
        tried = LlamaDraft(model, ContextSettings())
        choices = draft_choices(tried, tokens[:1], (*tokens[1:], tokens[-1]), Sampling())
        tried.close()
    return Golden(tokens=tokens, choices=choices)


def _prompt(model: Model, number: int) -> tuple[int, ...]:
    text = f"{_PROMPTS[number % len(_PROMPTS)]} {number}"
    return tuple(model.vocabulary.tokenize(text, parse_special=True, add_special=False))


def _written(draft: LlamaDraft, prompt: tuple[int, ...]) -> tuple[int, ...]:
    tokens: list[int] = []
    draft.begin(prompt, Sampling())
    parent, node, token = 0, 0, prompt[-1]
    while len(tokens) < _TOKENS:
        (expansion,) = draft.expand([Leaf(node, parent, token)], Detail())
        parent, node, token = node, node + 1, expansion.candidates[0].token
        tokens.append(token)
    return tuple(tokens)
