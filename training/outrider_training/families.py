"""Which architectures are trained and exported, and how llama.cpp wants their tensors.

It knows names, the order of rows and the offset of norms; it knows neither types nor files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import gguf
import numpy as np
import numpy.typing as npt
import torch
from gguf import MODEL_ARCH
from transformers import PreTrainedConfig, PreTrainedModel

from outrider_training.errors import ModelUnsupportedError

Weights = npt.NDArray[np.float32]
OUTPUT: Final = "output.weight"
_EMBEDDING: Final = "token_embd.weight"


@dataclass(frozen=True, slots=True)
class Family:
    """What llama.cpp calls an architecture, and where it differs from transformers."""

    architecture: MODEL_ARCH
    neighbours: bool = False  # rotates neighbouring dimensions of a head, not the two halves
    norm_offset: float = 0.0  # what transformers adds to norms when it runs them

    @property
    def name(self) -> str:
        """As the header of a GGUF file says it."""
        name: str = gguf.MODEL_ARCH_NAMES[self.architecture]
        return name


_FAMILIES: Final = {
    "llama": Family(MODEL_ARCH.LLAMA, neighbours=True),
    "mistral": Family(MODEL_ARCH.LLAMA, neighbours=True),
    "qwen2": Family(MODEL_ARCH.QWEN2),
    "qwen3": Family(MODEL_ARCH.QWEN3),
    "gemma": Family(MODEL_ARCH.GEMMA, norm_offset=1.0),
    "gemma2": Family(MODEL_ARCH.GEMMA2, norm_offset=1.0),
    "gemma3_text": Family(MODEL_ARCH.GEMMA3, norm_offset=1.0),
}


def family_of(config: PreTrainedConfig) -> Family:
    """Raises ModelUnsupportedError, which names the architecture."""
    family = _FAMILIES.get(config.model_type)
    if family is None:
        raise ModelUnsupportedError("architecture", config.model_type, ", ".join(_FAMILIES))
    return family


class TensorNames:
    """GGUF's names for the tensors of one model."""

    def __init__(self, config: PreTrainedConfig) -> None:
        self._family = family_of(config)
        self._map = gguf.get_tensor_name_map(self._family.architecture, config.num_hidden_layers)

    def of(self, name: str) -> str:
        """Raises ModelUnsupportedError for a name the architecture does not have."""
        stored: str | None = self._map.get_name(name, try_suffixes=(".weight", ".bias"))
        if stored is None:
            raise ModelUnsupportedError("tensor", name, f"those of {self._family.name}")
        return stored


def stored_tensors(model: PreTrainedModel) -> Iterator[tuple[str, Weights]]:
    """Every tensor as GGUF names and orders it, in float32; an output matrix that is the
    embedding comes under both names, last.

    Raises ModelUnsupportedError.
    """
    config = model.config
    names, tied = TensorNames(config), bool(config.tie_word_embeddings)
    for name, tensor in model.state_dict().items():
        if not (tied and name == "lm_head.weight"):
            yield names.of(name), stored_order(name, tensor, config)
    if tied:
        embedding = model.get_input_embeddings().weight
        yield OUTPUT, stored_order(_EMBEDDING, embedding, config)


def stored_order(name: str, tensor: torch.Tensor, config: PreTrainedConfig) -> Weights:
    """One tensor as llama.cpp has it; `name` is that of transformers.

    transformers rotates dimension i of a head with i + half; llama.cpp, for some architectures,
    neighbours, so the rows of the two halves are interleaved.
    """
    family = family_of(config)
    weights: Weights = tensor.detach().to(torch.float32).numpy(force=True)
    if family.norm_offset and name.endswith("norm.weight"):
        return weights + np.float32(family.norm_offset)
    if family.neighbours:
        heads = {".q_proj.": config.num_attention_heads, ".k_proj.": config.num_key_value_heads}
        for part, count in heads.items():
            if part in name:
                halves = weights.reshape(count, 2, len(weights) // count // 2, *weights.shape[1:])
                return halves.swapaxes(1, 2).reshape(weights.shape)
    return weights
