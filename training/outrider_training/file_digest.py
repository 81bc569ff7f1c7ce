"""A file's SHA-256, read again only where the file has changed: drafts are large, often looked at.

It goes by place, size and time of the last change; it does not know what the file is for.
"""

from pathlib import Path

from outrider_training.errors import ModelUnreadableError
from outrider_training.manifest import sha256_of

_Looks = tuple[Path, int, int, int]


class FileDigest:
    """Of the file that was asked for last."""

    def __init__(self) -> None:
        self._known: tuple[_Looks, str] | None = None

    def of(self, path: Path) -> str:
        """Raises ModelUnreadableError."""
        looks = _looks(path)
        if self._known is None or self._known[0] != looks:
            self._known = (looks, sha256_of(path))
        return self._known[1]


def _looks(path: Path) -> _Looks:
    try:
        found = path.stat()
    except OSError as error:
        raise ModelUnreadableError(path, error.strerror or str(error)) from error
    return path, found.st_ino, found.st_size, found.st_mtime_ns
