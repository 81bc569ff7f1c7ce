"""The process that tries drafts: what ends it from outside says nothing about them."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.errors import DraftError, ProbeInterrupted
from outrider_edge.releases.probe import Text, probe

LONG = [Text((1,), tuple(range(5, 105)))] * 200


FOR_EVER = """
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.releases.probe import Text, probe

probe([(SHIPPED_DRAFT, None)], [Text((1,), tuple(range(5, 105)))] * 2_000)
"""


def child(of: int | None = None) -> psutil.Process:
    """The process that tries drafts, as soon as it is there."""
    deadline_s = time.monotonic() + 30
    while True:
        for process in psutil.Process(of).children():
            if any("probe_process" in word for word in process.cmdline()):
                return process
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (signal.SIGTERM, ProbeInterrupted),
        (signal.SIGINT, ProbeInterrupted),
        (signal.SIGHUP, ProbeInterrupted),
        (signal.SIGKILL, ProbeInterrupted),  # as where memory is short
        (signal.SIGABRT, DraftError),
    ],
)
def test_who_is_told_to_end_blames_no_draft(number: signal.Signals, kind: type[Exception]) -> None:
    """A terminal's Ctrl-C goes to other processes than this one; a service's end to all."""
    with ThreadPoolExecutor(1) as pool:
        trying = pool.submit(probe, [(SHIPPED_DRAFT, None)], LONG)
        process = child()
        assert os.getpgid(process.pid) != os.getpgid(0)
        process.send_signal(number)
        with pytest.raises(kind):
            trying.result(60)


def test_a_draft_that_computes_for_ever_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outrider_edge.releases.probe._START_S", 2)
    monkeypatch.setattr("outrider_edge.releases.probe._TOKEN_S", 0.0)
    with pytest.raises(DraftError, match="after 2 s of a processor"):
        probe([(SHIPPED_DRAFT, None)], LONG * 10)


def test_a_machine_that_stands_still_blames_no_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outrider_edge.releases.probe._WALL", 1 / 200)
    with ThreadPoolExecutor(1) as pool:
        trying = pool.submit(probe, [(SHIPPED_DRAFT, None)], LONG[:1])
        process = child()
        process.suspend()
        with pytest.raises(ProbeInterrupted, match="no time to compute"):
            trying.result(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_tried_for_nobody(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", FOR_EVER]) as parent:
        process = child(parent.pid)
        deadline_s = time.monotonic() + 30
        while not any(SHIPPED_DRAFT.name in part.path for part in process.memory_maps()):
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        parent.send_signal(number)
    process.wait(timeout=10)


def test_nothing_of_the_current_folder_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("llama_cpp", "pydantic", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    assert probe([(SHIPPED_DRAFT, None)], LONG[:1]).drafts
