"""The files of a TUF repository in a folder: those that may be seen, and nothing beside them.

It opens one part of a path after the other and follows no link below the folder itself, so that no
name leads out of it. It blocks, and knows neither what the files say nor who asks.
"""

import errno
import os
import re
import stat
import threading
from pathlib import Path
from typing import Final

from outrider_cloud.errors import AbsentError, BeyondEndError
from outrider_protos.errors import MalformedMessage

_NAME: Final = re.compile(
    r"[A-Za-z0-9_-](?:\.?[A-Za-z0-9_-])*"
)  # no dot at an end, none beside one
_MOST_NAME: Final = 255  # characters: no folder holds a longer one
_DEPTHS: Final = {"metadata": 2, "targets": 3}
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR)
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK  # a pipe must not keep us waiting


class RepositoryFile:
    """An open file; it goes on to be what it was when another is put in its place."""

    def __init__(self, handle: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._handle = handle
        self._lock = threading.Lock()  # nobody closes it under a reader

    def read(self, first: int, count: int) -> bytes:
        """Exactly so many bytes, all of them within the file. Raises BeyondEndError."""
        with self._lock:
            data = os.pread(self._handle, count, first)
        if len(data) != count:
            raise BeyondEndError("the file became shorter while it was read")
        return data

    def close(self) -> None:
        with self._lock:
            os.close(self._handle)


class RepositoryFolder:
    """`metadata/NAME` and `targets/LINE/NAME` under `root`, which itself may be a link."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, path: str) -> RepositoryFile:
        """To be closed. Raises MalformedMessage, AbsentError, or OSError for a failing disk."""
        parts = _parts(path)
        try:
            handle = self._descend(parts)
        except OSError as error:
            if error.errno in _ABSENT:
                raise AbsentError("there is no such file") from error
            raise
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            raise AbsentError("there is no such file")
        return RepositoryFile(handle, found.st_size)

    def read(self, path: str, most_bytes: int) -> bytes:
        """A small file. As `open`; raises BeyondEndError too."""
        file = self.open(path)
        try:
            if file.size_bytes > most_bytes:
                raise BeyondEndError(f"the file is longer than {most_bytes} bytes")
            return file.read(0, file.size_bytes)
        finally:
            file.close()

    def stamp(self) -> tuple[int, int, int] | None:
        """Another one whenever another timestamp was put there; None where there is none."""
        try:
            found = (self._root / "metadata" / "timestamp.json").lstat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _descend(self, parts: list[str]) -> int:
        handle = os.open(self._root, _FOLDER)
        for part in parts:
            flags = _FILE if part is parts[-1] else _FOLDER
            above = handle
            try:
                handle = os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            finally:
                os.close(above)
        return handle


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    safe = all(len(part) <= _MOST_NAME and _NAME.fullmatch(part) for part in parts)
    if not safe or _DEPTHS.get(parts[0]) != len(parts):
        raise MalformedMessage("path is neither metadata/NAME nor targets/LINE/NAME")
    return parts
