"""The target model: loading it, refusing what cannot be served, and the facts the engine needs.

A model is a transformers folder or a hub id, of a family whose attention this package has been
tested with. Loading never runs code from the model's repository. The tokenizer is elsewhere.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from outrider_cloud.errors import TargetError
from outrider_cloud.transformers_engine.pool import KvShape

FAMILIES = frozenset({"gemma", "gemma2", "gemma3_text", "llama", "mistral", "qwen2", "qwen3"})
# Their angles depend on the longest text in a batch: a session would not get what it gets alone.
_UNSTABLE_ROPES = frozenset({"dynamic", "longrope"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A loaded model, in evaluation mode."""

    model: PreTrainedModel
    kv: KvShape
    heads: int  # of the queries
    context_tokens: int
    vocab_size: int  # rows of the embedding; a tokenizer may use fewer
    end_ids: frozenset[int]


def load_target(name: str, *, device: str = "cpu", dtype: torch.dtype | None = None) -> Target:
    """Load a folder or a hub id; `dtype` is by default float32 on a CPU, else bfloat16.

    Raises TargetError for what is not there, not readable or not supported.
    """
    check_place(name, device)
    local = Path(name).is_dir()
    if dtype is None:
        dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()  # nobody watches
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local)
        check_supported(config)
        model = AutoModelForCausalLM.from_pretrained(
            name, config=config, dtype=dtype, local_files_only=local
        )
        return make_target(model.to(device))
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        raise TargetError(f"the target {name!r} cannot be loaded: {error}") from error


def check_place(name: str, device: str) -> None:
    """Raises TargetError for a folder or a device that is not there."""
    if not Path(name).is_dir() and name.startswith(("/", "./", "../", "~")):
        raise TargetError(f"there is no folder {name}")
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise TargetError("there is no CUDA device, or this torch was built without CUDA")


def public_name(name: str) -> str:
    """A hub id, or of a folder only its name: where it lies is nobody else's business."""
    path = Path(name)
    return path.resolve().name if path.is_dir() else name


def make_target(model: PreTrainedModel) -> Target:
    """The facts of a model that is in memory. Raises TargetError if it is not supported."""
    config = model.config
    check_supported(config)
    ends = model.generation_config.eos_token_id if model.generation_config else None
    ends = config.eos_token_id if ends is None else ends
    return Target(
        model=model.eval(),
        kv=KvShape(
            layers=config.num_hidden_layers,
            heads=config.num_key_value_heads,
            head_size=getattr(config, "head_dim", None)
            or config.hidden_size // config.num_attention_heads,
            dtype=model.dtype,
            device=model.device,
        ),
        heads=config.num_attention_heads,
        context_tokens=config.max_position_embeddings,
        vocab_size=model.get_input_embeddings().num_embeddings,
        end_ids=frozenset([ends] if isinstance(ends, int) else ends or ()),
    )


def check_supported(config: PreTrainedConfig) -> None:
    """Raises TargetError, with the reason, for a model that would not be judged rightly."""
    if config.model_type not in FAMILIES:
        raise TargetError(
            f"targets of the family {config.model_type!r} are not supported; these are: "
            + ", ".join(sorted(FAMILIES))
        )
    if getattr(config, "use_bidirectional_attention", None):
        raise TargetError("targets with bidirectional attention are not supported")
    ropes = config.rope_parameters or {}
    for rope in (ropes, *(each for each in ropes.values() if isinstance(each, dict))):
        if rope.get("rope_type") in _UNSTABLE_ROPES:
            raise TargetError(f"targets with {rope['rope_type']!r} RoPE are not supported")
