"""Hearing of news."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from outrider_edge.errors import BadModelFile
from outrider_edge.releases.channel import Quiet
from outrider_edge.releases.ear import Ear
from outrider_edge.releases.source import FolderSource


def test_what_is_known_is_looked_at_before_a_channel_is_opened(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Else each look where that fails leaves a channel open, and whoever follows looks for ever."""
    opened = 0

    @contextmanager
    def channel() -> Iterator[Quiet]:
        nonlocal opened
        opened += 1
        yield Quiet(FolderSource(tmp_path_factory.mktemp("channel")))

    def known() -> int:
        raise BadModelFile("draft.gguf", "cannot be read")

    ear = Ear(channel, known, threading.Event())
    with pytest.raises(BadModelFile):
        ear.listen()
    ear.close()
    assert opened == 0
