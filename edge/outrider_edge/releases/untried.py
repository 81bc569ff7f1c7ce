"""Releases that this machine began to try and could not, through no fault that anybody knows of: as
where the system ends every process that tries them.

A mark for each, a byte for every time. It knows digests, not what they are of.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from outrider_edge.errors import StoreFailed

_MOST: Final = 20  # times, one after another
_PAUSE_S: Final = 86_400.0  # from then on: what a machine lacks may come


class Untried:
    """Files by SHA-256 in hexadecimal. Raises StoreFailed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, file: str) -> None:
        """It could not be tried once more."""
        try:
            self._folder.mkdir(exist_ok=True)
            with (self._folder / file).open("ab") as mark:
                mark.write(b"1")
        except OSError as error:
            raise StoreFailed(f"the drafts of this device: {error.strerror or error}") from error

    def waits(self, file: str, now_s: float) -> bool:
        """Whether it should be left alone for now. `now_s`: seconds since 1970."""
        try:
            found = (self._folder / file).stat()
        except OSError:
            return False
        return found.st_size >= _MOST and 0 <= now_s - found.st_mtime < _PAUSE_S

    def expect(self, files: Collection[str]) -> None:
        """Only these are on offer; what is known of others is forgotten."""
        for mark in self._folder.glob("*"):
            if mark.name not in files:
                mark.unlink(missing_ok=True)
