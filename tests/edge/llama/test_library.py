"""llama.cpp stays quiet, and its messages are logged without what they say."""

import logging
from pathlib import Path

import pytest

from outrider_edge.errors import BadModelFile, DraftError
from outrider_edge.llama import library
from outrider_edge.llama.context import Context, ContextSettings
from outrider_edge.llama.model import Model
from tests.simulators.gguf_files import write_hollow_gguf


def test_nothing_is_printed_when_a_model_loads_or_fails_to(
    tmp_path: Path, tiny_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Model(tiny_path).close()
    with pytest.raises(BadModelFile):
        Model(write_hollow_gguf(tmp_path / "hollow.gguf"))
    assert capfd.readouterr() == ("", "")


def test_messages_are_logged_by_origin_without_their_contents(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_hollow_gguf(tmp_path / "hollow.gguf")
    with caplog.at_level(logging.DEBUG, library.__name__), pytest.raises(BadModelFile):
        Model(path)
    assert "llama_model_load" in caplog.text
    assert "hollow.gguf" not in caplog.text


def test_errors_are_heard_only_while_somebody_listens(tiny: Model) -> None:
    context = Context(tiny, ContextSettings())
    with library.listening() as heard, pytest.raises(DraftError):
        context.decode()  # nothing was put
    count = len(heard)
    assert count > 0
    with pytest.raises(DraftError):
        context.decode()
    assert len(heard) == count
    context.close()
