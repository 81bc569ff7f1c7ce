"""The command `outrider-cloud` as a process: announced, or refusing."""

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

START_S = 120.0
WAIT_S = 30.0


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "outrider_cloud", *arguments]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OUTRIDER_")}
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean | environment,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def announced(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(running.stdout, selectors.EVENT_READ)
        assert selector.select(START_S), "nothing was announced"
    return running.stdout.readline()


def refused(*arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and what a person reads."""
    with process(*arguments, **environment) as running:
        said, complaint = running.communicate(timeout=START_S)
    assert said == ""
    return running.returncode, complaint
