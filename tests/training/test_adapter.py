"""A LoRA in a GGUF file of its own computes what the merged model does, over every family."""

import ctypes
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter

from outrider_edge.errors import BadAdapter, BadModelFile
from outrider_edge.llama.adapter import Adapter
from outrider_edge.llama.model import Model
from outrider_training.adapter import write_adapter
from outrider_training.demo_models import PairPaths
from outrider_training.errors import BaseMissingError, TargetUnwritableError
from outrider_training.families import family_of
from outrider_training.gguf_model import GgufModel
from outrider_training.lora import add_lora
from outrider_training.mould import cast
from outrider_training.replay import Candidate
from outrider_training.student import load_student
from tests.simulators.gguf_files import TinyModel, write_gguf
from tests.training.moulds import CONFIGS, random_model, write_hollow

TOKENS = list(range(3, 40))


class Under(GgufModel):
    """A file under an adapter, which can be taken off and laid on again."""

    def lay(self, adapter: Path | None) -> None:
        pointers, count = None, 0
        if adapter is not None:
            found = llama_cpp.llama_adapter_lora_init(self._model, bytes(adapter))
            assert found
            pointers, count = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(found), 1
        scales = (ctypes.c_float * 1)(1.0)
        assert llama_cpp.llama_set_adapters_lora(self._context, pointers, count, scales) == 0


def written(name: str, folder: Path) -> tuple[Path, Path, npt.NDArray[np.float32]]:
    """A base, an adapter of random numbers over it, and the logits of both by transformers."""
    student = random_model(CONFIGS[name])
    kind = None if student.config.tie_word_embeddings else Type.F32
    architecture = family_of(student.config).name
    base = write_hollow(
        folder / "hollow.gguf", student, Type.F32, architecture=architecture, output=kind
    )
    cast(student, base, folder / "base.gguf")
    adapted = add_lora(student, 8)
    with torch.no_grad():
        for part, weights in adapted.named_parameters():
            if "lora_" in part:
                weights.normal_(0.0, 0.05)
    write_adapter(adapted, folder / "base.gguf", folder / "lora.gguf")
    with torch.inference_mode():
        logits: npt.NDArray[np.float32] = student(torch.tensor([TOKENS])).logits[0].numpy()
    return folder / "base.gguf", folder / "lora.gguf", logits


@pytest.mark.parametrize("name", CONFIGS)
def test_every_family_computes_the_changed_model(name: str, tmp_path: Path) -> None:
    """Half floats round the change by a thousandth. Off again means off."""
    base, adapter, changed = written(name, tmp_path)
    with Under(base) as model:
        plain = model.logits(TOKENS)
        model.lay(adapter)
        error = np.abs(model.logits(TOKENS) - changed).max()
        model.lay(None)
        np.testing.assert_array_equal(model.logits(TOKENS), plain)
    assert error < 0.01 * np.abs(plain - changed).max()


def test_it_is_small_and_names_its_base(tmp_path: Path) -> None:
    base, adapter, _ = written("qwen3", tmp_path)
    assert adapter.stat().st_size < base.stat().st_size / 10
    fields = GGUFReader(adapter).fields
    assert fields["general.type"].contents() == "adapter"
    assert fields["general.architecture"].contents() == "qwen3"


def test_what_does_not_belong_together_is_refused(shipped: PairPaths, tmp_path: Path) -> None:
    adapted = add_lora(load_student(shipped.draft), 2)
    with pytest.raises(TargetUnwritableError):
        write_adapter(adapted, shipped.draft, tmp_path / "none" / "lora.gguf")
    adapter = tmp_path / "lora.gguf"
    write_adapter(adapted, shipped.draft, adapter)
    other = tmp_path / "other.gguf"
    other.write_bytes(shipped.draft.read_bytes() + b"\0")
    (tmp_path / "half.gguf").write_bytes(adapter.read_bytes()[:900])
    with Model(shipped.draft) as model, Model(other) as stranger:
        Adapter(model, adapter).close()
        with pytest.raises(BadModelFile, match=r"made for another file than other\.gguf"):
            Adapter(stranger, adapter)
        with pytest.raises(BadModelFile, match="is no LoRA adapter"):
            Adapter(model, shipped.draft)
        with pytest.raises(BadModelFile, match="cut short"):
            Adapter(model, tmp_path / "half.gguf")
        with pytest.raises(BadModelFile, match="no such file"):
            Adapter(model, tmp_path / "none.gguf")
    _, foreign, _ = written("llama", tmp_path)
    with Model(shipped.draft) as model, pytest.raises(BadModelFile, match="another file"):
        Adapter(model, foreign)


def test_adapters_of_other_tools_are_judged_by_their_shapes(tmp_path: Path) -> None:
    """They name no base: llama.cpp compares the matrices."""
    tiny = write_gguf(tmp_path / "tiny.gguf", TinyModel())
    _, adapter, _ = written("llama", tmp_path)
    nameless = adapter.read_bytes().replace(b"outrider.adapter.base", b"outrider.adapter.none")
    adapter.write_bytes(nameless)
    with Model(tiny) as model, pytest.raises(BadModelFile, match=r"does not fit over tiny\.gguf"):
        Adapter(model, adapter)
    _, other, _ = written("qwen3", tmp_path)
    with Model(tiny) as model, pytest.raises(BadModelFile, match="architecture qwen3"):
        Adapter(model, other)


def test_a_candidate_is_a_file_or_an_adapter_over_one(shipped: PairPaths, tmp_path: Path) -> None:
    adapter = tmp_path / "lora.gguf"
    write_adapter(add_lora(load_student(shipped.draft), 2), shipped.draft, adapter)
    assert Candidate.of(shipped.draft, None) == Candidate(shipped.draft)
    assert Candidate.of(adapter, shipped.draft) == Candidate(shipped.draft, adapter)
    for base in (None, adapter):
        with pytest.raises(BaseMissingError, match="--base"):
            Candidate.of(adapter, base)


def with_tensor(path: Path, kind: type[np.generic], alpha: float = 1.0) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    if kind is not np.void:
        for part, shape in (("a", (2, 128)), ("b", (128, 2))):
            writer.add_tensor(f"blk.0.attn_q.weight.lora_{part}", np.ones(shape, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("kind", "alpha", "reason"),
    [
        (np.int32, 1.0, "is no matrix of a LoRA"),
        (np.float64, 1.0, "is no matrix of a LoRA"),
        (np.float32, float("nan"), "alpha is no number"),
        (np.void, 1.0, "changes nothing"),
    ],
)
def test_what_would_crash_llama_cpp_never_reaches_it(
    kind: type[np.generic], alpha: float, reason: str, shipped: PairPaths, tmp_path: Path
) -> None:
    with Model(shipped.draft) as model, pytest.raises(BadAdapter, match=reason):
        Adapter(model, with_tensor(tmp_path / "odd.gguf", kind, alpha))
