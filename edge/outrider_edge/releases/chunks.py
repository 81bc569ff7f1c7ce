"""A file that comes in pieces, each known by its digest before it comes.

What is on the disk and has the right digest is never asked for again, in this process or the next;
what has not is asked for alone. It knows neither networks nor what the file is for.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Final

from outrider_edge.errors import BadRelease
from outrider_protos.release import MAX_CHUNK_BYTES, Chunks

_PATIENCE: Final = 3  # passes over chunks that came wrong, before the source is given up
_FEWEST_WRONG: Final = 12  # chunks that may come wrong in all, in any file
_WRONG: Final = 3 / 16  # of a file, that may come wrong

# Bytes [first, first + count) of the file, as they arrive.
Fetch = Callable[[int, int], Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPlan:
    """A file by its pieces. Raises BadRelease where the numbers do not fit."""

    size_bytes: int
    chunk_bytes: int
    digests: tuple[bytes, ...]  # SHA-256, in order

    def __post_init__(self) -> None:
        fitting = 0 < self.chunk_bytes <= MAX_CHUNK_BYTES and self.size_bytes >= 0
        if not fitting or len(self.digests) != -(-self.size_bytes // self.chunk_bytes):
            raise BadRelease("the list of a file's chunks does not fit its size")

    @classmethod
    def of(cls, file: Path, chunk_bytes: int) -> "ChunkPlan":
        """The plan of a file that is there. Raises OSError."""
        with file.open("rb") as data:
            pieces = iter(lambda: data.read(chunk_bytes), b"")
            digests = tuple(sha256(piece).digest() for piece in pieces)
        return cls(size_bytes=file.stat().st_size, chunk_bytes=chunk_bytes, digests=digests)

    @classmethod
    def signed(cls, size_bytes: int, chunks: Chunks) -> "ChunkPlan":
        """As a release says. Raises BadRelease."""
        digests = tuple(chunks.digest(number) for number in range(chunks.count))
        return cls(size_bytes=size_bytes, chunk_bytes=chunks.chunk_bytes, digests=digests)

    def place(self, number: int) -> tuple[int, int]:
        """Where a chunk begins, and how long it is."""
        first = number * self.chunk_bytes
        return first, min(self.chunk_bytes, self.size_bytes - first)


def missing(path: Path, plan: ChunkPlan) -> list[int]:
    """Chunks that the file on disk has not, or not rightly. Raises OSError."""
    if not path.exists():
        return list(range(len(plan.digests)))
    with path.open("rb") as file:
        return [
            number
            for number, digest in enumerate(plan.digests)
            if sha256(file.read(plan.chunk_bytes)).digest() != digest
        ]


def complete(path: Path, plan: ChunkPlan, fetch: Fetch, done: Callable[[int], None]) -> None:
    """Fetch what is missing of the file; `done` hears of the bytes of every chunk that is there.

    Raises BadRelease if the source keeps sending something else, and what `fetch` raises; chunks
    that came until then stay.
    """
    lacking = missing(path, plan)
    for number in sorted(set(range(len(plan.digests))) - set(lacking)):
        done(plan.place(number)[1])
    with path.open("r+b" if path.exists() else "w+b") as file:
        left = max(_FEWEST_WRONG, int(_WRONG * len(plan.digests)))
        for _ in range(_PATIENCE):
            wrong = (n for run in _runs(lacking) for n in _fill(file, plan, run, fetch, done))
            lacking = list(islice(wrong, left + 1))
            left -= len(lacking)
            if left < 0:
                break
        if lacking:
            raise BadRelease("the source keeps sending other bytes than those that were signed")
        file.truncate(plan.size_bytes)
        os.fsync(file.fileno())


def _runs(numbers: list[int]) -> Iterator[range]:
    """Neighbours come with one request."""
    begin = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield range(numbers[begin], numbers[at - 1] + 1)
            begin = at


def _fill(
    file: IO[bytes], plan: ChunkPlan, run: range, fetch: Fetch, done: Callable[[int], None]
) -> Iterator[int]:
    """Write those chunks of the run that come rightly; the others."""
    first, end = plan.place(run[0])[0], sum(plan.place(run[-1]))
    for number, data in zip(run, _cut(fetch(first, end - first), plan, run), strict=True):
        if sha256(data).digest() != plan.digests[number]:
            yield number
            continue
        file.seek(plan.place(number)[0])
        file.write(data)
        file.flush()
        done(len(data))


def _cut(pieces: Iterable[bytes], plan: ChunkPlan, run: range) -> Iterator[bytes]:
    """The chunks of a run, short ones where the data ends early; endless data ends here."""
    kept, source = bytearray(), iter(pieces)
    for number in run:
        size = plan.place(number)[1]
        while len(kept) < size and (piece := next(source, None)) is not None:
            kept += piece
        yield bytes(kept[:size])
        del kept[:size]
