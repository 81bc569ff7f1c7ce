"""One task with a known answer, and the split that keeps tests out of training.

It does not know how any domain words its tasks.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

HELD_OUT_ONE_IN: Final = 16


class Split(Enum):
    """Which side of the fixed split a task belongs to."""

    TRAINING = "training"
    HELD_OUT = "held-out"


@dataclass(frozen=True, slots=True)
class Task:
    """A question whose wording alone determines the answer, character by character."""

    domain: str
    prompt: str
    answer: str

    @property
    def split(self) -> Split:
        """The side decided by a hash of the prompt, so no two seeds can ever disagree."""
        digest = hashlib.blake2b(self.prompt.encode(), digest_size=2).digest()
        held_out = int.from_bytes(digest, "big") % HELD_OUT_ONE_IN == 0
        return Split.HELD_OUT if held_out else Split.TRAINING


Wording = tuple[str, str]
"""A prompt and its answer."""

Kind = Callable[[Random], Wording]
"""Draws one prompt and answer of a kind of task."""

Kinds = Mapping[str, Kind]
"""The kinds of one domain by name."""


def words(text: str) -> tuple[str, ...]:
    """The words of a line, for lists that read better without quotes."""
    return tuple(text.split())
