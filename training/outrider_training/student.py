"""The model that learns: loading it, from a GGUF file, a transformers folder or a hub id, and what
it says at the positions of a batch.

It does not know how it learns. Weights are float32 whatever they were stored in: small steps would
vanish in the rounding of a narrower type.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Final

import torch
from gguf import GGUFReader
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from outrider_training.errors import ModelUnreadableError
from outrider_training.examples import Batch, Example, micro_batches, padded
from outrider_training.families import family_of

GGUF_SUFFIX: Final = ".gguf"


def load_student(source: Path) -> PreTrainedModel:
    """In evaluation mode, on the CPU. Raises ModelUnreadableError, ModelUnsupportedError."""
    transformers_logging.disable_progress_bar()
    try:
        with redirect_stderr(StringIO()):  # another bar cannot be turned off
            model: PreTrainedModel = _load(source)
    except (OSError, ValueError, KeyError, IndexError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelUnreadableError(source, reason) from error
    family_of(model.config)
    return model.eval()


def _load(source: Path) -> PreTrainedModel:
    if source.suffix != GGUF_SUFFIX:
        return AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.float32)
    if not source.is_file():
        raise OSError("there is no such file")
    place = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    config = AutoConfig.from_pretrained(**place)
    if width := _head_width(source):
        config.head_dim = width  # transformers takes it from the header for some families only
    return AutoModelForCausalLM.from_pretrained(**place, config=config, dtype=torch.float32)


def _head_width(source: Path) -> int | None:
    fields = GGUFReader(source).fields
    field = fields.get(f"{fields['general.architecture'].contents()}.attention.key_length")
    return None if field is None else int(field.contents())


def logits_at(student: PreTrainedModel, batch: Batch) -> Tensor:
    """[N, vocabulary] of the counted positions; the output layer sees no other."""
    device = student.device
    hidden = student.get_decoder()(batch.inputs.to(device), use_cache=False).last_hidden_state
    logits: Tensor = student.get_output_embeddings()(hidden.flatten(0, 1)[batch.at.to(device)])
    cap = getattr(student.config, "final_logit_softcapping", None)  # Gemma 2
    return logits.float() if cap is None else cap * torch.tanh(logits.float() / cap)


def agreement(
    student: PreTrainedModel, examples: Sequence[Example], micro_tokens: int
) -> dict[str, float]:
    """By domain: the share of counted positions whose likeliest token is the target's choice."""
    agreed: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    with torch.inference_mode():
        for group in micro_batches(examples, micro_tokens):
            batch = padded(group)
            hits = logits_at(student, batch).argmax(dim=1).cpu() == batch.opinion.choices
            for hit, row in zip(hits.tolist(), batch.rows.tolist(), strict=True):
                counted[group[row].domain] += 1
                agreed[group[row].domain] += hit
    return {domain: agreed[domain] / count for domain, count in sorted(counted.items())}
