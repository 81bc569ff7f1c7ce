"""Weights cast into a mould are those of transformers, in each tensor's own type."""

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from outrider_training.demo_models import PairPaths
from outrider_training.errors import (
    ModelUnreadableError,
    ModelUnsupportedError,
    MouldMismatchError,
    TargetUnwritableError,
    TypeUnsupportedError,
)
from outrider_training.families import family_of
from outrider_training.gguf_model import GgufModel
from outrider_training.mould import Casting, cast
from outrider_training.quantize import quantize
from outrider_training.student import load_student
from tests.training.moulds import CONFIGS, random_model, write_hollow

TOKENS = list(range(3, 40))


def hollow(
    folder: Path, model: PreTrainedModel, kind: Type = Type.F32, output: Type | None = None
) -> Path:
    if output is None and not model.config.tie_word_embeddings:
        output = kind
    name = family_of(model.config).name
    return write_hollow(folder / "mould.gguf", model, kind, architecture=name, output=output)


def reference(model: PreTrainedModel) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        logits: npt.NDArray[np.float32] = model(torch.tensor([TOKENS])).logits[0].numpy()
    return logits


def logits_of(file: Path) -> npt.NDArray[np.float32]:
    with GgufModel(file) as model:
        return model.logits(TOKENS)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_family_computes_what_transformers_does(name: str, tmp_path: Path) -> None:
    """llama.cpp looks Gemma's activation up in a table of half floats."""
    model = random_model(CONFIGS[name])
    cast(model, hollow(tmp_path, model), tmp_path / "cast.gguf")
    near = 5e-3 if name.startswith("gemma") else 2e-4
    np.testing.assert_allclose(logits_of(tmp_path / "cast.gguf"), reference(model), atol=near)


@pytest.mark.parametrize("kind", [Type.Q4_K, Type.Q5_K, Type.Q6_K, Type.Q8_0, Type.IQ4_XS])
def test_each_tensor_keeps_its_own_type(kind: Type, tmp_path: Path) -> None:
    model = random_model(CONFIGS["qwen3"])
    cast(model, hollow(tmp_path, model, kind, output=Type.Q6_K), tmp_path / "cast.gguf")
    types = {
        tensor.name: tensor.tensor_type for tensor in GGUFReader(tmp_path / "cast.gguf").tensors
    }
    assert types["token_embd.weight"] is kind
    assert types["output.weight"] is Type.Q6_K
    assert types["output_norm.weight"] is Type.F32
    error = logits_of(tmp_path / "cast.gguf") - reference(model)
    assert np.sqrt((error**2).mean()) < 0.4 * reference(model).std()


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "gemma"])
@pytest.mark.parametrize("kind", [Type.Q8_0, Type.Q4_K], ids=["q8_0", "q4_k"])
def test_unchanged_weights_give_the_same_file(name: str, kind: Type, tmp_path: Path) -> None:
    """transformers reads no GGUF of the first Gemma."""
    model = random_model(CONFIGS[name])
    cast(model, hollow(tmp_path, model, kind), tmp_path / "old.gguf")
    loaded = load_student(tmp_path / "old.gguf")
    casting = cast(loaded, tmp_path / "old.gguf", tmp_path / "new.gguf")
    assert (tmp_path / "new.gguf").read_bytes() == (tmp_path / "old.gguf").read_bytes()
    assert casting.changed_rows == 0 < casting.rows


def test_the_shipped_draft_comes_back_as_it_is(shipped: PairPaths, tmp_path: Path) -> None:
    cast(load_student(shipped.draft), shipped.draft, tmp_path / "new.gguf")
    assert (tmp_path / "new.gguf").read_bytes() == shipped.draft.read_bytes()


def test_only_rows_that_changed_are_written(shipped: PairPaths, tmp_path: Path) -> None:
    student = load_student(shipped.draft)
    with torch.no_grad():
        student.model.layers[0].mlp.up_proj.weight[7] += 0.01
    casting = cast(student, shipped.draft, tmp_path / "new.gguf")
    assert casting == Casting((tmp_path / "new.gguf").stat().st_size, casting.rows, 1)
    old, new = (GGUFReader(path).tensors for path in (shipped.draft, tmp_path / "new.gguf"))
    differing = {
        (one.name, int(row))
        for one, two in zip(old, new, strict=True)
        for row in np.flatnonzero((one.data != two.data).reshape(one.data.shape[0], -1).any(axis=1))
    }
    assert differing == {("blk.0.ffn_up.weight", 7)}


def test_a_tied_matrix_fills_a_mould_that_has_both(tmp_path: Path) -> None:
    model = random_model(CONFIGS["llama, tied"])
    cast(model, hollow(tmp_path, model, output=Type.F32), tmp_path / "cast.gguf")
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(tmp_path / "cast.gguf").tensors}
    np.testing.assert_array_equal(tensors["output.weight"], tensors["token_embd.weight"])


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    tied, separate = random_model(CONFIGS["llama, tied"]), random_model(CONFIGS["llama"])
    mould = hollow(tmp_path, tied)
    with pytest.raises(MouldMismatchError, match=r"has no output\.weight"):
        cast(separate, mould, tmp_path / "cast.gguf")
    with pytest.raises(MouldMismatchError, match="architecture llama, the model of qwen3"):
        cast(random_model(CONFIGS["qwen3"]), mould, tmp_path / "cast.gguf")
    deeper = type(tied.config)(**(tied.config.to_dict() | {"num_hidden_layers": 1}))
    with pytest.raises(MouldMismatchError, match=r"has blk\.1\..*, the model does not"):
        cast(random_model(deeper), mould, tmp_path / "cast.gguf")
    wider = type(tied.config)(**(tied.config.to_dict() | {"vocab_size": 352}))
    with pytest.raises(MouldMismatchError, match=r"token_embd\.weight of shape \(320, 256\)"):
        cast(random_model(wider), mould, tmp_path / "cast.gguf")
    gpt2 = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=32, vocab_size=64))
    with pytest.raises(ModelUnsupportedError, match="gpt2"):
        cast(gpt2, mould, tmp_path / "cast.gguf")
    assert list(tmp_path.iterdir()) == [mould]


def test_files_that_are_none_and_places_that_cannot_be_written(
    shipped: PairPaths, tmp_path: Path
) -> None:
    student = load_student(shipped.draft)
    with pytest.raises(ModelUnreadableError, match="no such file"):
        cast(student, tmp_path / "none.gguf", tmp_path / "new.gguf")
    (tmp_path / "half.gguf").write_bytes(shipped.draft.read_bytes()[:5000])
    with pytest.raises(ModelUnreadableError, match="no whole GGUF"):
        cast(student, tmp_path / "half.gguf", tmp_path / "new.gguf")
    with pytest.raises(TargetUnwritableError):
        cast(student, shipped.draft, tmp_path / "nowhere" / "new.gguf")
    older = tmp_path / "new.gguf"
    shutil.copyfile(shipped.draft, older)
    with pytest.raises(MouldMismatchError):
        cast(random_model(CONFIGS["llama"]), older, older)
    assert older.read_bytes() == shipped.draft.read_bytes()


def test_types_that_need_more_than_weights_are_refused() -> None:
    with pytest.raises(TypeUnsupportedError, match="IQ2_XXS"):
        quantize(np.zeros((1, 256), np.float32), Type.IQ2_XXS)
