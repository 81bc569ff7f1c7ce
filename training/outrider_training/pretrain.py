"""Train one model from nothing by its recipe, with checkpoints to go on from.

It does not know what the model is for, nor where it is shipped.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from outrider_training.batches import IGNORED, Batch, step_batches
from outrider_training.recipe import Recipe, Shape

CONTEXT: Final = 1024
_WARMUP_STEPS: Final = 100
_CHECKPOINT_EVERY: Final = 250
_REPORT_EVERY: Final = 50


def new_model(shape: Shape, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A float32 model with random weights."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_value_heads,
            intermediate_size=shape.inner,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            rms_norm_eps=1e-5,
        )
    )


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine down to nothing."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.learning_rate * min(1.0, (step + 1) / _WARMUP_STEPS) * cosine


class Training:
    """The state of one run: model, optimiser and the next step."""

    def __init__(
        self, recipe: Recipe, tokenizer: PreTrainedTokenizerFast, device: torch.device
    ) -> None:
        self.recipe = recipe
        self.tokenizer = tokenizer
        self.device = device
        self.step = 0
        self.model = new_model(recipe.shape, tokenizer, recipe.seed).to(device)
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        vectors = [p for p in self.model.parameters() if p.ndim == 1]
        groups: list[dict[str, object]] = [
            {"params": matrices},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def advance(self) -> float:
        """One optimiser step; returns the mean loss per answer token."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        batches = list(step_batches(self.recipe, self.step, self.tokenizer))
        answer_tokens = sum(int((batch.labels != IGNORED).sum()) for batch in batches)
        total = 0.0
        for batch in batches:
            loss = self._summed_loss(batch) / answer_tokens
            torch.autograd.backward(loss)
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return total

    def _summed_loss(self, batch: Batch) -> torch.Tensor:
        labels = batch.labels.to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            hidden = self.model.model(batch.inputs.to(self.device), use_cache=False)
            wanted = labels != IGNORED
            logits = self.model.lm_head(hidden.last_hidden_state[wanted])
        return cross_entropy(logits.float(), labels[wanted], reduction="sum")

    def save(self, path: Path) -> None:
        """Write a checkpoint; a cut-off write leaves the old one."""
        partial = path.with_suffix(".partial")
        state = {
            "recipe": repr(self.recipe),
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; one of another recipe is ignored."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"] != repr(self.recipe):
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def train(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    checkpoint: Path,
    device: torch.device,
    report: Callable[[str], None],
) -> LlamaForCausalLM:
    """Run the recipe to its end, from the checkpoint if there is one."""
    training = Training(recipe, tokenizer, device)
    if checkpoint.exists():
        training.resume(checkpoint)
    began, first, recent = time.monotonic(), training.step, 0.0
    while training.step < recipe.steps:
        recent += training.advance()
        if training.step % _REPORT_EVERY == 0:
            pace_s = (time.monotonic() - began) / (training.step - first)
            left_min = pace_s * (recipe.steps - training.step) / 60
            report(
                f"{recipe.name}: step {training.step} of {recipe.steps}, "
                f"loss {recent / _REPORT_EVERY:.4f}, {left_min:.0f} min left"
            )
            recent = 0.0
        if training.step % _CHECKPOINT_EVERY == 0:
            training.save(checkpoint)
    return training.model.eval()
