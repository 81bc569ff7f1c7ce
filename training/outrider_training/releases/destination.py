"""Where a repository lies, as whoever publishes sees it: read a file, or put a whole edition there.

It does not know what is in the files.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

TIMESTAMP_PATH: Final = "metadata/timestamp.json"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be, and what goes into it."""

    path: str
    source: Path | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """An edition of a repository, in the order in which its files must appear.

    Targets are named after their content, metadata after their version: neither is ever replaced.
    The timestamp is, and makes the rest known. A new root comes last: the timestamp before it is
    signed for readers who know it and for those who do not.
    """

    targets: Sequence[Upload] = ()
    metadata: Sequence[Upload]
    timestamp: bytes
    replaced: bytes | None  # the timestamp until then
    root: Upload | None = None


class Destination(Protocol):
    """Raises DestinationError where the place cannot be used."""

    def holds(self, path: Path) -> bool:
        """Whether this file or folder of our own lies there, where everybody reads it."""

    def changing(self) -> AbstractContextManager[None]:
        """Around reading and publishing: what others publish meanwhile is noticed.

        Raises RepositoryBusyError.
        """

    def read(self, path: str, most_bytes: int) -> bytes | None:
        """A small file; None if it is not there. Longer ones are an error."""

    def fetch(self, path: str, target: Path, size_bytes: int) -> None:
        """A large file of this size, to disk."""

    def publish(self, shipment: Shipment) -> None:
        """Readers see the edition until then or this one, also if it ends halfway.

        Raises RepositoryBusyError when another edition came first.
        """
