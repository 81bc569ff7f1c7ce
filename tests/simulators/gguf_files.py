"""Real GGUF files of tiny random models, written in a moment and read by the real llama.cpp."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from numpy.typing import NDArray

BEGIN, END, USER = "<|bos|>", "<|end|>", "<|user|>"
MERGES = (
    "t h", "th e", "i n", "Ġ the", "a n", "Ġ a", "e r", "in g", "o n", "Ġ o", "l l", "h e",
    "Ġ s", "1 2", "Ã ©", "æ ĸ",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyModel:
    """The shape of a random model of the llama architecture, all weights in float32."""

    architecture: str = "llama"
    seed: int = 0
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    width: int = 64
    inner: int = 96
    context: int = 256
    padding: int = 3  # rows of the vocabulary without a text
    tokenizer: bool = True
    spread: float = 3.0  # about the standard deviation of the logits
    poisoned: int | None = None  # a token whose embedding is NaN


def byte_letters() -> list[str]:
    """GPT-2's printable stand-in for every byte, by byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    letters |= {byte: chr(256 + i) for i, byte in enumerate(hidden)}
    return [letters[byte] for byte in range(256)]


def tokens_of(model: TinyModel) -> tuple[list[str], list[TokenType]]:
    """All token texts and types: control tokens, bytes, merged pieces, padding."""
    control = [BEGIN, END, USER]
    pieces = byte_letters() + [merge.replace(" ", "") for merge in MERGES]
    first = len(control) + len(pieces)
    padding = [f"[PAD{first + i}]" for i in range(model.padding)]
    types = [TokenType.CONTROL] * len(control)
    types += [TokenType.NORMAL] * len(pieces)
    types += [TokenType.UNUSED] * len(padding)
    return control + pieces + padding, types


def write_gguf(path: Path, model: TinyModel) -> Path:
    """Write the file, about 400 KB."""
    writer = GGUFWriter(path, model.architecture)
    _write_shape(writer, model)
    if model.tokenizer:
        _write_tokenizer(writer, model)
    else:
        writer.add_tokenizer_model("no_vocab")
    return _finish(writer, path, _tensors(model))


def write_hollow_gguf(path: Path) -> Path:
    """A well-formed file that holds no whole model."""
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(8)
    return _finish(writer, path, {"token_embd.weight": np.zeros((4, 4), np.float32)})


def write_recurrent_gguf(path: Path) -> Path:
    """A mamba model of one layer: its state is not made of cells that could be cut."""
    model = TinyModel(architecture="mamba", layers=1)
    writer = GGUFWriter(path, model.architecture)
    _write_shape(writer, model)
    _write_tokenizer(writer, model)
    inner, state, rank, kernel = 2 * model.width, 8, 4, 4
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(tokens_of(model)[0]), model.width),
        "output_norm.weight": (model.width,),
        "blk.0.attn_norm.weight": (model.width,),
        "blk.0.ssm_in.weight": (2 * inner, model.width),
        "blk.0.ssm_conv1d.weight": (inner, kernel),
        "blk.0.ssm_conv1d.bias": (inner,),
        "blk.0.ssm_x.weight": (rank + 2 * state, inner),
        "blk.0.ssm_dt.weight": (inner, rank),
        "blk.0.ssm_dt.bias": (inner,),
        "blk.0.ssm_a": (inner, state),
        "blk.0.ssm_d": (inner,),
        "blk.0.ssm_out.weight": (model.width, inner),
    }
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return _finish(writer, path, tensors)


def _finish(writer: GGUFWriter, path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> Path:
    for name, weights in tensors.items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_shape(writer: GGUFWriter, model: TinyModel) -> None:
    writer.add_context_length(model.context)
    writer.add_embedding_length(model.width)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.inner)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(model.width // model.heads)
    writer.add_vocab_size(len(tokens_of(model)[0]))


def _write_tokenizer(writer: GGUFWriter, model: TinyModel) -> None:
    tokens, types = tokens_of(model)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(tokens.index(BEGIN))
    writer.add_eos_token_id(tokens.index(END))
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template("{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}")


def _tensors(model: TinyModel) -> dict[str, NDArray[np.float32]]:
    draw = np.random.default_rng(model.seed)

    def matrix(rows: int, columns: int, scale: float = 1.0) -> NDArray[np.float32]:
        weights = draw.standard_normal((rows, columns)) * (scale / np.sqrt(columns))
        return np.asarray(weights, np.float32)

    width, kv_width = model.width, model.width // model.heads * model.kv_heads
    ones = np.ones(width, np.float32)
    rows = len(tokens_of(model)[0])
    tensors = {"token_embd.weight": matrix(rows, width, np.sqrt(width)), "output_norm.weight": ones}
    tensors["output.weight"] = matrix(rows, width, model.spread)
    if model.poisoned is not None:
        tensors["token_embd.weight"][model.poisoned] = np.nan
    for layer in range(model.layers):
        tensors |= {
            f"blk.{layer}.attn_norm.weight": ones,
            f"blk.{layer}.attn_q.weight": matrix(width, width, 2.0),
            f"blk.{layer}.attn_k.weight": matrix(kv_width, width, 2.0),
            f"blk.{layer}.attn_v.weight": matrix(kv_width, width),
            f"blk.{layer}.attn_output.weight": matrix(width, width),
            f"blk.{layer}.ffn_norm.weight": ones,
            f"blk.{layer}.ffn_gate.weight": matrix(model.inner, width),
            f"blk.{layer}.ffn_up.weight": matrix(model.inner, width),
            f"blk.{layer}.ffn_down.weight": matrix(width, model.inner),
        }
    return tensors
