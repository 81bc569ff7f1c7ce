"""Small random Llama folders, made once."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from outrider_training.demo_models import PairPaths, demo_tokenizer

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """The demo tokenizer, learnt anew."""
    return demo_tokenizer()


@pytest.fixture(scope="session")
def shipped() -> PairPaths:
    """The pair inside the packages."""
    return PairPaths.shipped()


@pytest.fixture
def make_folder(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> MakeFolder:
    """A transformers folder with random weights, norms included; settings override the shape."""

    def make(name: str = "tiny", **settings: object) -> Path:
        shape: dict[str, object] = {
            "vocab_size": len(tokenizer),
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
            "tie_word_embeddings": True,
        }
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**(shape | settings)))
        for weights in model.parameters():
            if weights.ndim == 1:
                torch.nn.init.normal_(weights, 1.0, 0.1)
            else:
                torch.nn.init.normal_(weights, 0.0, 0.08)
        folder = tmp_path / name
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make
