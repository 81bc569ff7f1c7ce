"""Random targets of every supported family, small enough to recompute everything all the time."""

import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from outrider_cloud.target import Target, make_target

VOCAB_SIZE = 61
WINDOW = 6
_SIZES = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,  # rows that differ clearly
    "eos_token_id": 1,
    "bos_token_id": 0,
    "pad_token_id": None,
}
_MIXED = ["sliding_attention", "full_attention", "sliding_attention"]
_FAMILIES: dict[str, tuple[type[PreTrainedConfig], type[PreTrainedModel], dict[str, object]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": WINDOW}),
    "qwen2": (
        Qwen2Config,
        Qwen2ForCausalLM,
        {"use_sliding_window": True, "sliding_window": WINDOW, "layer_types": _MIXED},
    ),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 16}),
    "gemma": (GemmaConfig, GemmaForCausalLM, {"head_dim": 8}),
    "gemma2": (
        Gemma2Config,
        Gemma2ForCausalLM,
        {"head_dim": 8, "sliding_window": WINDOW, "attn_logit_softcapping": 2.0},
    ),
    "gemma3_text": (
        Gemma3TextConfig,
        Gemma3ForCausalLM,
        {"head_dim": 8, "sliding_window": WINDOW, "layer_types": _MIXED},
    ),
}
FAMILIES = sorted(_FAMILIES)


def tiny_config(family: str, **changes: object) -> PreTrainedConfig:
    config, _, own = _FAMILIES[family]
    return config(**{**_SIZES, **own, **changes})


def tiny_model(family: str = "llama", **changes: object) -> PreTrainedModel:
    torch.manual_seed(5)
    _, model, _ = _FAMILIES[family]
    return model(tiny_config(family, **changes))


def tiny_target(family: str = "llama", **changes: object) -> Target:
    return make_target(tiny_model(family, **changes))
