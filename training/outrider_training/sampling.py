"""Answers that the student writes, alone or token by token in turn with the target, and the
target's opinion of them: on-policy samples, for which the target is needed again.

Token j is drawn from beta p + (1 - beta) q, p the target and q the student; nothing is learnt
through the draw. It knows neither records nor losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from outrider_cloud.records.record import Tops
from outrider_cloud.transformers_engine.rows import top_tokens
from outrider_training.examples import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """How samples are drawn."""

    beta: float  # the target's share: 0 the student alone, 1 the target alone
    temperature: float = 1.0
    max_tokens: int = 128


class _Writer:
    """One model going on with padded texts, a token for each at a time.

    Padding shifts positions; rotary embeddings, which all families have, only see distances.
    """

    def __init__(self, model: PreTrainedModel, prompts: Tensor, mask: Tensor) -> None:
        self._model, self._mask = model, mask
        self._fed, self._cache = prompts, None

    def row(self) -> Tensor:
        """Logits [texts, vocabulary] of the next token."""
        out = self._model(
            self._fed,
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = out.past_key_values
        logits: Tensor = out.logits[:, -1].float()
        return logits

    def feed(self, tokens: Tensor) -> None:
        self._fed = tokens.unsqueeze(1)
        self._mask = torch.cat([self._mask, torch.ones_like(self._fed)], dim=1)


class Sampler:
    """`student` and `target` are on one device and share a vocabulary."""

    def __init__(
        self,
        student: PreTrainedModel,
        target: PreTrainedModel,
        mixture: Mixture,
        end_ids: frozenset[int],
    ) -> None:
        self._student, self._target = student, target
        self._mixture, self._end_ids = mixture, end_ids

    @torch.inference_mode()
    def answers(self, examples: Sequence[Example], seed: int) -> list[Example]:
        """A new answer for the prompt of each, with the target's opinion of it."""
        random = torch.Generator(self._student.device).manual_seed(seed)
        texts = self._write([example.prompt for example in examples], random)
        return [
            self._judged(example, tokens) for example, tokens in zip(examples, texts, strict=True)
        ]

    def _write(
        self, prompts: Sequence[Sequence[int]], random: torch.Generator
    ) -> list[tuple[int, ...]]:
        padded, mask = _left_padded(prompts, self._student.device)
        beta = self._mixture.beta
        shares = [(self._target, beta), (self._student, 1 - beta)]
        writers = [(_Writer(model, padded, mask), part) for model, part in shares if part > 0]
        texts: list[list[int]] = [[] for _ in prompts]
        ended = [False] * len(prompts)
        for _ in range(self._mixture.max_tokens):
            tokens = self._draw(writers, random)
            for index, token in enumerate(tokens.tolist()):
                if not ended[index]:
                    texts[index].append(token)
                    ended[index] = token in self._end_ids
            if all(ended):
                break
            for writer, _part in writers:
                writer.feed(tokens)
        return [tuple(text) for text in texts]

    def _draw(self, writers: Sequence[tuple[_Writer, float]], random: torch.Generator) -> Tensor:
        if self._mixture.temperature == 0:
            chances = [part * _likeliest(writer.row()) for writer, part in writers]
        else:
            heat = self._mixture.temperature
            chances = [part * (writer.row() / heat).softmax(dim=1) for writer, part in writers]
        return torch.multinomial(sum(chances, torch.zeros(())), 1, generator=random).squeeze(1)

    def _judged(self, example: Example, tokens: tuple[int, ...]) -> Example:
        whole = torch.tensor([(*example.prompt, *tokens)], device=self._target.device)
        logits = self._target(whole, logits_to_keep=len(tokens) + 1).logits[0, :-1]
        tops: Tops = top_tokens(logits)
        choices = tuple(int(token) for token in tops.tokens[:, 0])
        weights = np.ones(len(tokens), np.float32)
        return replace(example, tokens=tokens, choices=choices, tops=tops, weights=weights)


def _likeliest(logits: Tensor) -> Tensor:
    return torch.zeros_like(logits).scatter(1, logits.argmax(dim=1, keepdim=True), 1.0)


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and mask, both [prompts, length]: all end at the same place."""
    length = max(map(len, prompts))
    padded = torch.zeros(len(prompts), length, dtype=torch.long)
    mask = torch.zeros_like(padded)
    for row, prompt in enumerate(prompts):
        padded[row, length - len(prompt) :] = torch.tensor(prompt)
        mask[row, length - len(prompt) :] = 1
    return padded.to(device), mask.to(device)
