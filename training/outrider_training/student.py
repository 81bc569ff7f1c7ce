"""The model that learns: loading it from a GGUF file, a transformers folder or a hub id.

It does not know how it learns. Weights are float32 whatever they were stored in: small steps would
vanish in the rounding of a narrower type.
"""

from pathlib import Path
from typing import Final

import torch
from gguf import GGUFReader
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from outrider_training.errors import ModelUnreadableError
from outrider_training.families import family_of

_SUFFIX: Final = ".gguf"


def load_student(source: Path) -> PreTrainedModel:
    """In evaluation mode, on the CPU. Raises ModelUnreadableError, ModelUnsupportedError."""
    transformers_logging.disable_progress_bar()
    try:
        model: PreTrainedModel = _load(source)
    except (OSError, ValueError, KeyError, IndexError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelUnreadableError(source, reason) from error
    family_of(model.config)
    return model.eval()


def _load(source: Path) -> PreTrainedModel:
    if source.suffix != _SUFFIX:
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
