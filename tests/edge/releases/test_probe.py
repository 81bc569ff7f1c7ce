"""The process that tries drafts: what ends it from outside says nothing about them."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.errors import DraftError, ProbeInterrupted
from outrider_edge.releases.probe import Text, probe

LONG = [Text((1,), tuple(range(5, 105)))] * 200


def child() -> psutil.Process:
    """The process that tries drafts, as soon as it is there."""
    deadline_s = time.monotonic() + 30
    while True:
        for process in psutil.Process().children():
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
