"""Prompts to run, from a file: one JSON object or one plain line each, with answers where known.

It does not know what is done with them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from outrider_edge.errors import BadInput, BadText

MAX_FILE_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, and its one right answer if there is such a thing."""

    prompt: str
    answer: str | None = None
    domain: str | None = None


def read_questions(path: Path) -> list[Question]:
    """Raises BadInput for a file that is missing, too large, empty or malformed, and BadText."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{path.name}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise BadInput(f"{path.name} is larger than {MAX_FILE_BYTES} bytes")
    lines = decoded(data, path.name).splitlines()
    found = [
        _question(line, f"{path.name}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not found:
        raise BadInput(f"{path.name} holds no prompt")
    return found


def decoded(data: bytes, origin: str) -> str:
    """UTF-8 to text. Raises BadText that says where it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadText(f"{origin} is not UTF-8: see byte {error.start}") from error


def _question(line: str, place: str) -> Question:
    if not line.lstrip().startswith("{"):
        return Question(line.strip())
    try:
        value = json.loads(line)
    except ValueError as error:
        raise BadInput(f"{place}: is not valid JSON") from error
    prompt, answer, domain = (value.get(key) for key in ("prompt", "answer", "domain"))
    if not isinstance(prompt, str) or not prompt:
        raise BadInput(f"{place}: has no text under `prompt`")
    if not isinstance(answer, str | None) or not isinstance(domain, str | None):
        raise BadInput(f"{place}: `answer` and `domain` must be texts")
    return Question(prompt, answer, domain)
