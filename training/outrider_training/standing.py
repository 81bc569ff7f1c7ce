"""Where an online run stands, on disk, so that one that ended in whatever way goes on.

It is written before what it tells of comes true: a run that dies in between has learnt less than
it thinks, and never judges by what it has learnt. It does not know models.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from outrider_training.errors import (
    CheckpointMismatchError,
    ModelUnreadableError,
    TargetUnwritableError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`run` says which draft is taught how."""

    run: str
    answers: int
    updates: int
    refused: int  # in a row
    seen: list[str]  # shards
    begun: dict[str, int]  # records taken of shards that are not read whole
    learnt: list[str]  # digests of prompts, in hexadecimal, as below
    buffer: dict[str, int]  # digests of texts, and the updates they took part in
    held_back: list[str]  # digests of texts

    def save(self, path: Path) -> None:
        """Whole or not at all. Raises TargetUnwritableError."""
        partial = path.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise TargetUnwritableError(path, error.strerror or str(error)) from error

    @classmethod
    def load(cls, path: Path, run: str) -> "Standing | None":
        """None if there is none. Raises CheckpointMismatchError for one of another run."""
        if not path.is_file():
            return None
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelUnreadableError(path, "it does not say where a run stands") from error
        if found.run != run:
            raise CheckpointMismatchError(path)
        return found
