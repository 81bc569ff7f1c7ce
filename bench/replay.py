"""A prompt and the target's own answer to it: what every variant is measured on."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Replay:
    """Token ids."""

    prompt: list[int]
    answer: list[int]


def read_replays(path: Path) -> list[Replay]:
    """From a JSON list of objects."""
    return [Replay(**entry) for entry in json.loads(path.read_text())]
