"""A transformers folder of a Llama model as one GGUF file for llama.cpp.

It does not know training; other architectures are refused by name.
"""

from dataclasses import dataclass
from pathlib import Path

from gguf import GGUFWriter
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from outrider_training.errors import (
    FolderMissingError,
    ModelUnreadableError,
    ModelUnsupportedError,
    TokenizerUnsupportedError,
)
from outrider_training.families import OUTPUT, family_of, stored_tensors
from outrider_training.gguf_file import write_whole
from outrider_training.gguf_tokenizer import write_tokenizer
from outrider_training.quantize import StorageType, quantize


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written: the file's size, and the tensors that could not take the asked type."""

    size_bytes: int
    fallbacks: tuple[tuple[str, StorageType], ...]


def convert(folder: Path, target: Path, kind: StorageType, name: str | None = None) -> Conversion:
    """Write `target` from the transformers `folder`; a failure leaves an older file untouched.

    Vectors (norms) stay float32. Matrices whose rows do not divide into blocks of `kind` fall
    back to q8_0, else f16. Raises a `TrainingError`.
    """
    config = _read_config(folder)
    tokenizer = _read_tokenizer(folder)
    model = _read_model(folder)
    writer = GGUFWriter(None, family_of(config).name)
    writer.add_name(name or folder.resolve().name)
    writer.add_file_type(kind.file_type)
    _write_shape(writer, config)
    write_tokenizer(writer, tokenizer, config.vocab_size)
    fallbacks = _add_tensors(writer, model, kind)
    size_bytes = write_whole(writer, target)
    return Conversion(size_bytes, fallbacks)


def _read_config(folder: Path) -> LlamaConfig:
    if not (folder / "config.json").is_file():
        raise FolderMissingError(folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, OSError) as error:
        raise ModelUnreadableError(folder, str(error).splitlines()[0]) from error
    if not isinstance(config, LlamaConfig) or config.model_type != "llama":
        raise ModelUnsupportedError("architecture", config.model_type, "llama")
    rope = (config.rope_parameters or {}).get("rope_type", "default")
    if rope != "default":
        raise ModelUnsupportedError("rope type", rope, "default")
    if config.hidden_act != "silu":
        raise ModelUnsupportedError("activation", config.hidden_act, "silu")
    if config.attention_bias or config.mlp_bias:
        raise ModelUnsupportedError("weights", "biases", "matrices without biases")
    return config


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (ValueError, OSError) as error:
        raise ModelUnreadableError(folder, str(error).splitlines()[0]) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise TokenizerUnsupportedError("no tokenizer.json")
    return tokenizer


def _read_model(folder: Path) -> LlamaForCausalLM:
    try:
        return LlamaForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto")
    except (ValueError, OSError, SafetensorError) as error:
        raise ModelUnreadableError(folder, str(error).splitlines()[0]) from error


def _head_width(config: LlamaConfig) -> int:
    return int(config.head_dim or config.hidden_size // config.num_attention_heads)


def _write_shape(writer: GGUFWriter, config: LlamaConfig) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(_head_width(config))
    writer.add_value_length(_head_width(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(_head_width(config))
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def _add_tensors(
    writer: GGUFWriter, model: LlamaForCausalLM, kind: StorageType
) -> tuple[tuple[str, StorageType], ...]:
    fallbacks: list[tuple[str, StorageType]] = []
    for name, weights in stored_tensors(model):
        if name == OUTPUT and model.config.tie_word_embeddings:
            continue
        stored = StorageType.F32 if weights.ndim == 1 else kind.for_rows(weights.shape[-1])
        if weights.ndim > 1 and stored is not kind:
            fallbacks.append((name, stored))
        writer.add_tensor(name, quantize(weights, stored.ggml), raw_dtype=stored.ggml)
    return tuple(fallbacks)
