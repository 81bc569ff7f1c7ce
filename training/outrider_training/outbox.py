"""The folder in which an online run leaves better drafts, and what it needs to go on.

A draft lies under its own digest with its manifest, and `current.json` names the best one: the file
is there before it is named. It does not know what makes a draft better.
"""

import fcntl
import json
import os
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import Final

from outrider_training.errors import FolderBusyError, ModelUnreadableError, TargetUnwritableError
from outrider_training.manifest import remove_with_manifest, sha256_of, write_manifest

CURRENT: Final = "current.json"
_MOST_DRAFTS: Final = 4  # the newest: somebody may be fetching one that was just followed


class Outbox:
    """Made if it is not there, and this process's alone. Raises FolderBusyError,
    TargetUnwritableError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.candidate = folder / "candidate.gguf"
        self.standing = folder / "worker.json"
        self.checkpoint = folder / "worker.checkpoint"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "worker.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise TargetUnwritableError(folder, error.strerror or str(error)) from error
        self._unlock = weakref.finalize(self, os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise FolderBusyError(folder) from error

    def close(self) -> None:
        """Let another process have it; once is enough."""
        self._unlock()

    def current(self) -> Path | None:
        """The best draft, if there is one. Raises ModelUnreadableError if what is named is not
        whole: somebody must look.
        """
        pointer = self._folder / CURRENT
        if not pointer.is_file():
            return None
        try:
            named = json.loads(pointer.read_text(encoding="utf-8"))
            file: Path = self._folder / named["file"]
            sha256 = named["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelUnreadableError(pointer, "it names no draft") from error
        if sha256_of(file) != sha256:
            raise ModelUnreadableError(file, "it is not the draft that was put forward")
        return file

    def put_forward(self, answers: int, acceptance: float, learnt: Collection[bytes]) -> Path:
        """Name the candidate as the best, with how many answers were seen until then."""
        sha256 = sha256_of(self.candidate)
        file = self._folder / f"{sha256[:16]}.gguf"
        partial = self._folder / f"{CURRENT}.partial"
        pointer = {"file": file.name, "sha256": sha256, "answers": answers}
        try:
            write_manifest(file, sha256, learnt)
            os.replace(self.candidate, file)
            partial.write_text(json.dumps(pointer | {"acceptance": acceptance}), encoding="utf-8")
            os.replace(partial, self._folder / CURRENT)
            self._remove_oldest(file)
        except OSError as error:
            raise TargetUnwritableError(file, error.strerror or str(error)) from error
        return file

    def _remove_oldest(self, newest: Path) -> None:
        drafts = [path for path in self._folder.glob("*.gguf") if path != newest]
        drafts.sort(key=lambda path: path.stat().st_mtime)
        for path in drafts[: max(0, len(drafts) + 1 - _MOST_DRAFTS)]:
            remove_with_manifest(path)
