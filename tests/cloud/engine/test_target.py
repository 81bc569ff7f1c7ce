"""Targets are loaded from a folder, or refused with a reason."""

from pathlib import Path

import pytest
import torch

from outrider_cloud.errors import TargetError
from outrider_cloud.reference import Reference
from outrider_cloud.target import FAMILIES, check_supported, load_target
from tests.cloud.engine import tiny

LOG = [4, 8, 15, 16, 23, 42]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("target")
    tiny.tiny_model().save_pretrained(path)
    return path


def test_a_saved_model_is_loaded_as_it_was(folder: Path) -> None:
    target = load_target(str(folder))
    assert target.kv.dtype == torch.float32
    assert (target.context_tokens, target.vocab_size) == (128, tiny.VOCAB_SIZE)
    assert target.end_ids == {1}
    assert not target.model.training
    expected = Reference(tiny.tiny_target()).rows(LOG)
    assert abs(Reference(target).rows(LOG) - expected).max() < 1e-6


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(TargetError, match="no CUDA device"):
        load_target(str(folder), device="cuda")


def test_another_type_can_be_asked_for(folder: Path) -> None:
    assert load_target(str(folder), dtype=torch.bfloat16).kv.dtype == torch.bfloat16


def test_every_supported_family_is_tested() -> None:
    assert set(tiny.FAMILIES) == FAMILIES


def test_other_families_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(TargetError, match="'gpt2' are not supported"):
        load_target(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "nobody-knows-this"}')
    with pytest.raises(TargetError):
        load_target(str(tmp_path))


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "'dynamic' RoPE"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "bidirectional"),
    ],
)
def test_what_would_be_judged_wrongly_is_refused(
    family: str, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(TargetError, match=reason):
        check_supported(tiny.tiny_config(family, **changes))


def test_a_folder_that_is_empty_or_broken_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError):
        load_target(str(tmp_path))
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(TargetError):
        load_target(str(tmp_path))
    weights = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(TargetError):
        load_target(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(TargetError):
        load_target(str(tmp_path))
