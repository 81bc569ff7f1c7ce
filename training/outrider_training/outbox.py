"""The folder in which an online run leaves better drafts, and what it needs to go on.

A draft lies under its own hash, and `current.json` names the best one: the file is there before it
is named. It does not know what makes a draft better.
"""

import json
import os
from hashlib import file_digest
from pathlib import Path
from typing import Final

from outrider_training.errors import TargetUnwritableError

CURRENT: Final = "current.json"


class Outbox:
    """Made if it is not there. Raises TargetUnwritableError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.candidate = folder / "candidate.gguf"
        self.standing = folder / "worker.json"
        self.checkpoint = folder / "worker.checkpoint"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TargetUnwritableError(folder, error.strerror or str(error)) from error

    def current(self) -> Path | None:
        """The best draft, if there is one and it is whole."""
        try:
            named = json.loads((self._folder / CURRENT).read_text(encoding="utf-8"))
            file: Path = self._folder / named["file"]
            return file if _sha256(file) == named["sha256"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put_forward(self, answers: int, acceptance: float) -> Path:
        """Name the candidate as the best, with how many answers were seen until then."""
        sha256 = _sha256(self.candidate)
        file = self._folder / f"{sha256[:16]}.gguf"
        partial = self._folder / f"{CURRENT}.partial"
        pointer = {"file": file.name, "sha256": sha256, "answers": answers}
        try:
            os.replace(self.candidate, file)
            partial.write_text(json.dumps(pointer | {"acceptance": acceptance}), encoding="utf-8")
            os.replace(partial, self._folder / CURRENT)
        except OSError as error:
            raise TargetUnwritableError(file, error.strerror or str(error)) from error
        return file


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return file_digest(data, "sha256").hexdigest()
