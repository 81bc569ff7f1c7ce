"""A GGUF file of random weights in the shape of a real small model, for timing alone.

Architecture qwen2, weights q8_0: every block of 32 has one float16 scale and 32 random bytes. What
such a model writes means nothing. It knows no tokenizer worth the name, only a vocabulary's size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from numpy.typing import NDArray

_BLOCK = 32
_SCALE = 0.02 / 74  # bytes are uniform in [-128, 127]: weights get a deviation of 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The default is that of Qwen2-0.5B, whose output layer is its embedding."""

    layers: int = 24
    width: int = 896
    inner: int = 4864
    heads: int = 14
    kv_heads: int = 2
    vocabulary: int = 151_936
    context: int = 2048

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """(rows, row length) of a layer's matrices by their GGUF names."""
        kv = self.width // self.heads * self.kv_heads
        return {
            "attn_q": (self.width, self.width),
            "attn_k": (kv, self.width),
            "attn_v": (kv, self.width),
            "attn_output": (self.width, self.width),
            "ffn_gate": (self.inner, self.width),
            "ffn_up": (self.inner, self.width),
            "ffn_down": (self.width, self.inner),
        }


def write_random_gguf(path: Path, shape: Shape, seed: int = 0) -> None:
    """About half a gigabyte with the default shape."""
    writer = GGUFWriter(path, "qwen2")
    writer.add_name("random")
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    _write_vocabulary(writer, shape.vocabulary)
    random = np.random.default_rng(seed)
    for name, rows, length in _matrices(shape):
        blocks = _blocks(random, rows, length)
        writer.add_tensor(name, blocks, raw_dtype=GGMLQuantizationType.Q8_0)
    for name, size, value in _vectors(shape):
        writer.add_tensor(name, np.full(size, value, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_vocabulary(writer: GGUFWriter, size: int) -> None:
    """The end of text comes first, then letters enough to look like a byte-level vocabulary."""
    tokens = ["<|end|>", *(f"t{number}" for number in range(1, size))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL, *([TokenType.NORMAL] * (size - 1))])
    writer.add_token_merges(["t 1"])
    writer.add_eos_token_id(0)


def _matrices(shape: Shape) -> Iterator[tuple[str, int, int]]:
    yield "token_embd.weight", shape.vocabulary, shape.width
    for layer in range(shape.layers):
        for name, (rows, length) in shape.matrices.items():
            yield f"blk.{layer}.{name}.weight", rows, length


def _vectors(shape: Shape) -> Iterator[tuple[str, int, float]]:
    yield "output_norm.weight", shape.width, 1.0
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm.weight", shape.width, 1.0
        yield f"blk.{layer}.ffn_norm.weight", shape.width, 1.0
        for name in ("attn_q", "attn_k", "attn_v"):
            yield f"blk.{layer}.{name}.bias", shape.matrices[name][0], 0.0


def _blocks(random: np.random.Generator, rows: int, length: int) -> NDArray[np.uint8]:
    """Shape (rows, bytes of a row)."""
    blocks = np.empty((rows, length // _BLOCK, 2 + _BLOCK), np.uint8)
    blocks[..., :2] = np.array([_SCALE], np.float16).view(np.uint8)
    blocks[..., 2:] = np.frombuffer(random.bytes(rows * length), np.uint8).reshape(
        rows, length // _BLOCK, _BLOCK
    )
    return blocks.reshape(rows, -1)
