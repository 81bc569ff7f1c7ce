"""One optimiser step after another towards the target's opinion.

It holds the student, its optimiser and the number of the next step, which is all the state there
is: what a step draws or drops depends on that number alone, so a run that was cut off goes on as if
it had not been. It does not know where examples come from. Several processes share a step: each
takes every n-th example, and gradients are added up before the optimiser moves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedModel

from outrider_training.errors import (
    CheckpointMismatchError,
    CheckpointUnreadableError,
    DivergedError,
    MemoryExhaustedError,
    TargetUnwritableError,
)
from outrider_training.examples import Batch, Example, micro_batches, padded
from outrider_training.losses import divergence, draft_buckets, overlap, target_buckets
from outrider_training.regimen import Regimen
from outrider_training.student import logits_at

_CLIP: Final = 1.0


@dataclass(frozen=True, slots=True)
class Update:
    """What one step did: the means over counted positions before it."""

    step: int
    loss: float
    acceptance: float  # of speculative sampling at temperature 1, from above
    agreement: float  # share of positions whose likeliest token is the target's
    positions: int

    def figures(self) -> dict[str, float]:
        """For a log."""
        return {"loss": self.loss, "acceptance": self.acceptance, "agreement": self.agreement}


class Distiller:
    """Teaches one student. `scratch` gets the batch of a step that went wrong."""

    def __init__(
        self,
        student: PreTrainedModel,
        regimen: Regimen,
        accelerator: Accelerator,
        scratch: Path,
    ) -> None:
        self.student = student.to(accelerator.device)
        self.step = 0
        self._regimen, self._accelerator, self._scratch = regimen, accelerator, scratch
        self._micro_tokens = regimen.micro_tokens
        trained = [p for p in student.parameters() if p.requires_grad]
        groups: list[dict[str, object]] = [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(
            groups, betas=(0.9, 0.95), weight_decay=regimen.weight_decay
        )

    @property
    def leads(self) -> bool:
        """Of several processes, the one that writes files."""
        return bool(self._accelerator.is_main_process)

    def update(self, examples: Sequence[Example]) -> Update:
        """One step on all of them together; every process is given the same.

        Raises DivergedError, MemoryExhaustedError; the student is then as it was before.
        """
        torch.manual_seed(self._regimen.seed + self.step)
        self.student.train()
        try:
            loss, acceptance, agreement, positions = self._accumulate(examples)
            if not math.isfinite(self._gather()) or not math.isfinite(loss):
                raise DivergedError(self.step, self._set_aside(examples))
            self._move()
        finally:
            self.student.eval()
        weight = sum(example.weight for example in examples)
        return Update(self.step, loss, acceptance / weight, agreement / weight, round(positions))

    def save(self, path: Path, run: str) -> None:
        """Write a checkpoint of the run of this name; a cut-off write leaves the old one.

        Raises TargetUnwritableError.
        """
        if not self.leads:
            return
        state = {
            "run": run,
            "regimen": repr(self._regimen),
            "step": self.step,
            "model": self.student.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        _write(state, path)

    def resume(self, path: Path, run: str) -> None:
        """Go on from a checkpoint of the same run. Raises CheckpointMismatchError."""
        try:
            state = torch.load(path, map_location=self._accelerator.device, weights_only=True)
            found = state["run"], state["regimen"]
        except (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError) as error:
            raise CheckpointUnreadableError(path) from error
        if found != (run, repr(self._regimen)):
            raise CheckpointMismatchError(path)
        self.student.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def check(self, examples: Sequence[Example]) -> None:
        """Raises DivergedError if the last step left a student that says nothing any more."""
        with torch.inference_mode():
            logits = logits_at(self.student, padded(examples))
        if not torch.isfinite(logits).all():
            raise DivergedError(self.step, self._set_aside(examples))

    def _gather(self) -> float:
        """Add up the gradients of all processes and clip them; their norm before that."""
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        if self._accelerator.num_processes > 1:
            for parameter in parameters:
                mine = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self._accelerator.reduce(mine, "sum")
        return float(torch.nn.utils.clip_grad_norm_(parameters, _CLIP))

    def _move(self) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._regimen.rate(self.step)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1

    def _set_aside(self, examples: Sequence[Example]) -> Path:
        """What a step that went wrong was given, for somebody to look at."""
        self._optimizer.zero_grad()
        path = self._scratch / f"diverged-step-{self.step}.pt"
        kept = [{"prompt": e.prompt, "tokens": e.tokens, "domain": e.domain} for e in examples]
        _write(kept, path)
        return path

    def _accumulate(self, examples: Sequence[Example]) -> tuple[float, ...]:
        """Gradients of the whole step; its loss, acceptance, agreement and positions.

        When memory runs out the step begins anew with micro-batches of half the size.
        """
        rank, processes = self._accelerator.process_index, self._accelerator.num_processes
        weight = sum(example.weight for example in examples)
        while True:
            sums = torch.zeros(4, dtype=torch.float64, device=self._accelerator.device)
            try:
                for group in micro_batches(examples[rank::processes], self._micro_tokens):
                    sums += self._backward(group, weight)
                break
            except (torch.OutOfMemoryError, MemoryError):
                self._optimizer.zero_grad()
                if self._micro_tokens <= max(example.length for example in examples):
                    raise MemoryExhaustedError from None
            self._micro_tokens //= 2
        total: list[float] = self._accelerator.reduce(sums, "sum").tolist()
        return tuple(total)

    def _backward(self, group: Sequence[Example], weight: float) -> Tensor:
        batch = padded(group)
        with torch.autocast(
            self.student.device.type, torch.bfloat16, enabled=self._regimen.bfloat16
        ):
            logits = logits_at(self.student, batch)
        opinion = batch.opinion.to(logits.device)
        weights = batch.weights.to(logits.device)
        losses = self._losses(logits, batch, group)
        loss = (losses * weights).sum() / weight
        torch.autograd.backward(loss)
        with torch.no_grad():
            log_q = draft_buckets(logits, opinion.tokens, 1.0)
            shared = overlap(target_buckets(opinion, logits.shape[1], 1.0), log_q)
            agreed = (logits.argmax(dim=1) == opinion.tokens[:, 0]).float()
            parts = [loss, (shared * weights).sum(), (agreed * weights).sum()]
            return torch.stack([*parts, torch.ones_like(weights).sum()]).double()

    def _losses(self, logits: Tensor, batch: Batch, group: Sequence[Example]) -> Tensor:
        """[N], each position by the loss of its domain."""
        measures = [self._regimen.measures.of(example.domain) for example in group]
        kinds = list(dict.fromkeys(measures))
        kind_of_row = torch.tensor([kinds.index(measure) for measure in measures])
        kind = kind_of_row[batch.rows].to(logits.device)
        opinion, losses = batch.opinion.to(logits.device), torch.zeros(len(logits))
        losses = losses.to(logits.device)
        for index, measure in enumerate(kinds):
            mine = (kind == index).nonzero().squeeze(1)
            found = divergence(measure, logits[mine], opinion.at(mine))
            losses = losses.index_put((mine,), found)
        return losses


def _write(state: object, path: Path) -> None:
    """Whole or not at all. Raises TargetUnwritableError."""
    partial = path.with_suffix(".partial")
    try:
        torch.save(state, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as the latter
        partial.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else None
        raise TargetUnwritableError(path, reason or "is the disk full?") from error
