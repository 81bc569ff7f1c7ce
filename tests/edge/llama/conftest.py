"""Tiny GGUF models, written once and loaded once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from outrider_edge.llama.model import Model
from tests.simulators.gguf_files import TinyModel, write_gguf


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", TinyModel())


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Iterator[Model]:
    """A random model with a context of 256 tokens."""
    with Model(tiny_path) as model:
        yield model
