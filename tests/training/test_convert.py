"""A converted file computes what the transformers folder computes."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from outrider_training.convert import convert
from outrider_training.errors import (
    FolderMissingError,
    ModelUnreadableError,
    ModelUnsupportedError,
    TargetUnwritableError,
)
from outrider_training.gguf_model import GgufModel
from outrider_training.quantize import StorageType
from tests.training.conftest import MakeFolder

TOKENS = list(range(3, 40))
# Largest accepted root mean square error of logits that are themselves about 1.3 and of
# random weights, which amplify rounding; unrelated logits would differ by 1.8.
NOISE = {
    StorageType.F32: 1e-4,
    StorageType.F16: 2e-3,
    StorageType.BF16: 2e-2,
    StorageType.Q8_0: 1e-1,
    StorageType.Q6_K: 2.5e-1,
    StorageType.Q5_K: 4e-1,
    StorageType.Q4_K: 8e-1,
    StorageType.Q4_0: 8e-1,
}


def reference_logits(folder: Path) -> npt.NDArray[np.float32]:
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits: npt.NDArray[np.float32] = model(torch.tensor([TOKENS])).logits[0].numpy()
    return logits


def error_of(file: Path, folder: Path) -> float:
    with GgufModel(file) as model:
        difference = model.logits(TOKENS) - reference_logits(folder)
    return float(np.sqrt((difference**2).mean()))


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "separate"])
def test_float32_file_gives_the_logits_of_the_folder(
    make_folder: MakeFolder, tmp_path: Path, tied: bool
) -> None:
    folder = make_folder(tie_word_embeddings=tied)
    convert(folder, tmp_path / "out.gguf", StorageType.F32)
    assert error_of(tmp_path / "out.gguf", folder) < NOISE[StorageType.F32]
    names = {tensor.name for tensor in GGUFReader(tmp_path / "out.gguf").tensors}
    assert ("output.weight" in names) is not tied


def test_query_and_key_rows_in_the_order_of_transformers_would_be_noticed(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = make_folder()
    convert(folder, tmp_path / "out.gguf", StorageType.F32)
    original = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for tensor in GGUFReader(tmp_path / "out.gguf", "r+").tensors:
        _, block, part = f"{tensor.name}..".split(".")[:3]
        if part in ("attn_q", "attn_k"):
            attention = original.model.layers[int(block)].self_attn
            projection = {"attn_q": attention.q_proj, "attn_k": attention.k_proj}[part]
            tensor.data[:] = projection.weight.detach().numpy()
    assert error_of(tmp_path / "out.gguf", folder) > 1000 * NOISE[StorageType.F32]


@pytest.mark.parametrize("kind", StorageType)
def test_every_type_loads_and_stays_close(
    make_folder: MakeFolder, tmp_path: Path, kind: StorageType
) -> None:
    folder = make_folder()
    conversion = convert(folder, tmp_path / "out.gguf", kind)
    assert conversion.fallbacks == ()
    assert conversion.size_bytes == (tmp_path / "out.gguf").stat().st_size
    assert error_of(tmp_path / "out.gguf", folder) < NOISE[kind]
    for tensor in GGUFReader(tmp_path / "out.gguf").tensors:
        is_norm = tensor.name.endswith("norm.weight")
        assert tensor.tensor_type == (GGMLQuantizationType.F32 if is_norm else kind.ggml)


@pytest.mark.parametrize(
    ("inner", "stored"), [(480, StorageType.Q8_0), (300, StorageType.F16)], ids=["q8_0", "f16"]
)
def test_rows_that_do_not_divide_fall_back_and_are_named(
    make_folder: MakeFolder, tmp_path: Path, inner: int, stored: StorageType
) -> None:
    folder = make_folder(intermediate_size=inner)
    conversion = convert(folder, tmp_path / "out.gguf", StorageType.Q4_K)
    assert conversion.fallbacks == tuple((f"blk.{i}.ffn_down.weight", stored) for i in range(2))
    assert error_of(tmp_path / "out.gguf", folder) < NOISE[StorageType.Q4_K]


def test_spare_embedding_rows_become_unused_tokens(
    make_folder: MakeFolder, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    folder = make_folder(vocab_size=len(tokenizer) + 32)
    convert(folder, tmp_path / "out.gguf", StorageType.F16)
    assert error_of(tmp_path / "out.gguf", folder) < NOISE[StorageType.F16]
    with GgufModel(tmp_path / "out.gguf") as model:
        assert model.tokenize("[PAD1540]") == tokenizer("[PAD1540]").input_ids


def test_header_names_the_model_and_carries_the_chat_template(
    make_folder: MakeFolder, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    convert(make_folder("some-model"), tmp_path / "out.gguf", StorageType.F16)
    fields = GGUFReader(tmp_path / "out.gguf").fields
    assert fields["general.name"].contents() == "some-model"
    assert fields["tokenizer.chat_template"].contents() == tokenizer.chat_template
    assert fields["tokenizer.ggml.pre"].contents() == "qwen2"
    assert fields["tokenizer.ggml.eos_token_id"].contents() == tokenizer.eos_token_id
    assert fields["llama.context_length"].contents() == 128


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderMissingError, match="nowhere"):
        convert(tmp_path / "nowhere", tmp_path / "out.gguf", StorageType.F16)


def test_folder_without_weights_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder()
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnreadableError):
        convert(folder, tmp_path / "out.gguf", StorageType.F16)


def test_truncated_weights_are_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelUnreadableError):
        convert(folder, tmp_path / "out.gguf", StorageType.F16)


def test_other_architectures_are_refused_by_name(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1}
    config = Qwen2Config(vocab_size=len(tokenizer), num_attention_heads=2, **shape)
    Qwen2ForCausalLM(config).save_pretrained(tmp_path / "qwen")
    tokenizer.save_pretrained(tmp_path / "qwen")
    with pytest.raises(ModelUnsupportedError, match="architecture: qwen2"):
        convert(tmp_path / "qwen", tmp_path / "out.gguf", StorageType.F16)


@pytest.mark.parametrize(
    ("setting", "value", "feature"),
    [
        ("hidden_act", "gelu", "activation"),
        ("attention_bias", True, "biases"),
        ("rope_parameters", {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}, "rope type"),
    ],
)
def test_variants_of_llama_that_would_compute_differently_are_refused(
    make_folder: MakeFolder, tmp_path: Path, setting: str, value: object, feature: str
) -> None:
    folder = make_folder()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {setting: value}))
    with pytest.raises(ModelUnsupportedError, match=feature):
        convert(folder, tmp_path / "out.gguf", StorageType.F16)


def test_unwritable_target_leaves_nothing_behind(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder()
    target = tmp_path / "taken"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(TargetUnwritableError, match="taken"):
        convert(folder, target, StorageType.F16)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken", "tiny"]
    with pytest.raises(TargetUnwritableError):
        convert(folder, tmp_path / "no-folder" / "out.gguf", StorageType.F16)
