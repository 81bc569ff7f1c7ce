"""The models that benches make up: padded, random, spoilt."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from bench.bare_draft import BareDraft
from bench.bare_target import BareTarget
from bench.padding import pad_target
from bench.random_gguf import Shape, write_random_gguf
from bench.useless_draft import spoil_draft

TINY = Shape(layers=2, width=64, inner=96, heads=4, kv_heads=2, vocabulary=500, context=128)
PROMPT = [5, 17, 99, 240, 3]


@pytest.fixture(scope="module")
def target_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("target")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def draft_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("draft") / "random.gguf"
    write_random_gguf(path, TINY)
    return path


def test_padding_adds_layers_and_changes_no_logit(target_folder: Path, tmp_path: Path) -> None:
    padded_folder = tmp_path / "padded"
    pad_target(target_folder, padded_folder, 3)
    plain = AutoModelForCausalLM.from_pretrained(target_folder)
    padded = AutoModelForCausalLM.from_pretrained(padded_folder)
    assert padded.config.num_hidden_layers == 5
    ids = torch.tensor([PROMPT])
    with torch.inference_mode():
        assert torch.equal(plain(ids).logits, padded(ids).logits)


def test_a_replay_in_groups_of_rows_times_each_group(target_folder: Path) -> None:
    target = BareTarget(target_folder)
    answer = target.answer(PROMPT, 12)
    assert 1 <= len(answer) <= 12
    prefill_s, seconds = target.time_replay(PROMPT, [7] * 10, 3)
    assert prefill_s > 0
    assert len(seconds) == 3


def test_a_replay_of_its_own_text_agrees_everywhere(draft_path: Path) -> None:
    with BareDraft(draft_path, 128) as draft:
        text = [*PROMPT, draft.choose(PROMPT, 0)]
        while len(text) < 40:
            text.append(draft.choose(text[-1:], len(text) - 1))
        answer = text[len(PROMPT) :]
        agrees, seconds = draft.time_replay(PROMPT, answer, 1)
        assert all(agrees)
        assert len(agrees) == len(seconds) == len(answer)
        wrong = [token + 1 for token in answer]
        assert not any(draft.time_replay(PROMPT, wrong, 1)[0][:1])


def test_a_spoilt_draft_has_the_same_rows_in_another_order(
    draft_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "spoilt.gguf"
    spoil_draft(draft_path, path)
    before = {tensor.name: tensor.data for tensor in GGUFReader(draft_path).tensors}
    after = {tensor.name: tensor.data for tensor in GGUFReader(path).tensors}
    rows, moved = before.pop("token_embd.weight"), after.pop("token_embd.weight")
    assert not np.array_equal(rows, moved)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, moved))
    assert all(np.array_equal(data, after[name]) for name, data in before.items())
    with BareDraft(path, 128) as draft:
        assert 0 <= draft.choose(PROMPT, 0) < TINY.vocabulary
