"""Processes that a measurement starts: their announcement is read, and they end with it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.pin import Place

_END_S = 10.0


@contextmanager
def child(place: Place, command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A command that announces itself by a line of JSON, and what the line says.

    Raises RuntimeError if it ends without one.
    """
    process = place.start(command)
    try:
        assert process.stdout is not None, "Place.start gives a pipe"
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{command[0]} did not start")
        yield process, json.loads(line)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def linked(
    place: Place, port: int, rtt_ms: float, bytes_per_s: float | None = None
) -> Iterator[int]:
    """A port that leads to `port` over a link; with neither delay nor limit the port itself."""
    if rtt_ms == 0 and bytes_per_s is None:
        yield port
        return
    command = [sys.executable, "-m", "bench.link", "--to", str(port), "--rtt-ms", str(rtt_ms)]
    if bytes_per_s is not None:
        command += ["--bytes-per-s", str(bytes_per_s)]
    with child(place, command) as (_, said):
        yield said["port"]


def port_of(address: str) -> int:
    """The port in `host:port`."""
    return int(address.rpartition(":")[2])
