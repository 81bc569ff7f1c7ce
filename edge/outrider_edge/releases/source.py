"""Where the files of a release channel come from: a folder, the web, or a cloud.

Whatever they say is checked against signatures by others; here only the pace is judged.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from outrider_edge.errors import ChannelUnavailable, NotOffered

_PIECE_BYTES: Final = 1 << 16


class Source(Protocol):
    """A TUF repository, by paths below its root: metadata/NAME and targets/LINE/NAME."""

    def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
        """Bytes [first, first + count) of a file, or all from `first`; fewer where it ends.

        Raises NotOffered, ChannelUnavailable, LocalOnly, CloudRefused.
        """


class FolderSource:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
        """See `Source`."""
        try:
            with (self._folder / path).open("rb") as file:
                file.seek(first)
                while piece := file.read(
                    min(_PIECE_BYTES, _PIECE_BYTES if count is None else count)
                ):
                    count = None if count is None else count - len(piece)
                    yield piece
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotOffered(f"the channel has no {Path(path).name}") from error
        except OSError as error:
            raise ChannelUnavailable(f"the channel's folder: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Slower than this is no service: so many bytes at least in each window.

    It looks when a piece comes: a source ends by itself when none does.
    """

    window_s: float = 30.0
    least_bytes: int = 1 << 15

    def watch(
        self, pieces: Iterator[bytes], sender: str, clock: Callable[[], float] = time.monotonic
    ) -> Iterator[bytes]:
        """The same pieces; what the reader does meanwhile takes no time. `sender` is for people.

        Raises ChannelUnavailable when they come too slowly.
        """
        waited_s, came, asked_s = 0.0, 0, clock()
        for piece in pieces:
            waited_s, came = waited_s + clock() - asked_s, came + len(piece)
            yield piece
            if waited_s >= self.window_s:
                if came < self.least_bytes:
                    text = f"only {came:,} bytes came from {sender} in {waited_s:.3g} s"
                    raise ChannelUnavailable(f"{text}: it is given up")
                waited_s, came = 0.0, 0
            asked_s = clock()
