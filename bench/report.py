"""A page of results: what was run, where, and tables. It does not know what they mean."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev

_LIBRARIES = ("torch", "transformers", "llama-cpp-python", "grpcio")


class Report:
    """Markdown, written in order. Paths beyond the current folder are given by name only."""

    def __init__(self, title: str, arguments: Sequence[str]) -> None:
        module = Path(arguments[0]).stem
        shown = [_shown(argument) for argument in arguments[1:]]
        command = " ".join(["python", "-m", f"bench.{module}", *shown])
        self._lines = [f"# {title}", "", "Made by:", "", f"    {command}", "", _machine()]

    def say(self, text: str) -> None:
        """A paragraph."""
        self._lines += ["", text]

    def heading(self, text: str) -> None:
        self._lines += ["", f"## {text}"]

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        ruled = [head, ["---"] * len(head), *rows]
        self._lines += ["", *(f"| {' | '.join(row)} |" for row in ruled)]

    def write(self, path: Path | None) -> None:
        """To a file, or to standard output."""
        text = "\n".join(self._lines) + "\n"
        if path is None:
            sys.stdout.write(text)
        else:
            path.write_text(text, encoding="utf-8")


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _shown(argument: str) -> str:
    return Path(argument).name if argument.startswith("/") else argument


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"Machine: {_processor()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, {libraries}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
