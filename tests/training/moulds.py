"""Tiny random models of every family, and hollow GGUF files of their shape to cast them into."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

VOCABULARY: Final = 320
_SHAPE: Final[dict[str, int]] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
CONFIGS: Final[Mapping[str, PreTrainedConfig]] = {
    "llama": LlamaConfig(**_SHAPE, tie_word_embeddings=False),
    "llama, tied": LlamaConfig(**_SHAPE, tie_word_embeddings=True),
    "mistral": MistralConfig(**_SHAPE, tie_word_embeddings=False, sliding_window=None),
    "qwen2": Qwen2Config(**_SHAPE, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**_SHAPE, tie_word_embeddings=True),
    "gemma": GemmaConfig(**_SHAPE),
    "gemma2": Gemma2Config(**_SHAPE, sliding_window=128, query_pre_attn_scalar=64),
    "gemma3": Gemma3TextConfig(**_SHAPE, sliding_window=128, query_pre_attn_scalar=64),
}


def random_model(config: PreTrainedConfig, seed: int = 0) -> PreTrainedModel:
    """All weights random, biases and norms too; float32."""
    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()
    norm = 0.0 if config.model_type.startswith("gemma") else 1.0
    for name, weights in model.named_parameters():
        if name.endswith("norm.weight"):
            torch.nn.init.normal_(weights, norm, 0.1)
        else:
            torch.nn.init.normal_(weights, 0.0, 0.08)
    return model


def write_hollow(
    path: Path,
    model: PreTrainedModel,
    matrices: GGMLQuantizationType,
    *,
    architecture: str,
    output: GGMLQuantizationType | None = None,
) -> Path:
    """A file of the model's shape, all weights zero, with an output matrix if a type is given."""
    config = model.config
    writer = GGUFWriter(path, architecture)
    _write_shape(writer, config)
    names = gguf.get_tensor_name_map(
        gguf.MODEL_ARCH[architecture.upper()], config.num_hidden_layers
    )
    for name, weights in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        _add(writer, stored, weights, matrices if weights.ndim > 1 else GGMLQuantizationType.F32)
    if output is not None:
        _add(writer, "output.weight", model.get_input_embeddings().weight, output)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: GGUFWriter, name: str, weights: torch.Tensor, kind: GGMLQuantizationType) -> None:
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    row_bytes = weights.shape[-1] // block * block_bytes
    hollow = np.zeros((*weights.shape[:-1], row_bytes), np.uint8)
    if kind is GGMLQuantizationType.F32:
        writer.add_tensor(name, hollow.view(np.float32))
    else:
        writer.add_tensor(name, hollow, raw_dtype=kind)


def _write_shape(writer: GGUFWriter, config: PreTrainedConfig) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    parameters = config.rope_parameters
    parameters = parameters.get("full_attention", parameters)
    writer.add_rope_freq_base(parameters["rope_theta"])
    if config.model_type in ("gemma2", "gemma3_text"):
        writer.add_sliding_window(config.sliding_window)
    if config.model_type == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
