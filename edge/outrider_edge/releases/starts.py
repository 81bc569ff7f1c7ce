"""What processes have begun with a draft on trial, and whether they lived to see its end.

A process that is at work with it holds a lock on a mark of its own. The system lets go of the lock
however the process ends, so a mark that nobody holds tells of one that ended too soon. Neither
process numbers nor clocks are asked: containers that share a folder have their own.
"""

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final
from weakref import WeakSet

MOST_STARTS: Final = 3  # that end before an answer does, with a draft on trial
_PROCESS: Final = secrets.token_hex(8)  # which may have several devices, and ends once
_own: "WeakSet[Starts]" = WeakSet()


def take_marks_off() -> None:
    """This process is told to end, whatever it is at. A signal's handler may call it: it waits for
    nothing.
    """
    for starts in list(_own):
        starts.take_off()


class Starts:
    """A folder of marks. Any thread may call it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._under_way = 0
        self._mark: Path | None = None  # known before it is made, to whoever takes it off
        self._held: BinaryIO | None = None
        _own.add(self)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """While something goes on with the draft on trial. Where no mark can be left there is
        none.
        """
        self._begin()
        try:
            yield
        finally:
            self._end()

    @property
    def too_many(self) -> bool:
        """Whether so many processes have ended with the draft on trial that it must be why."""
        ended = filter(_has_ended, self._folder.glob("*"))
        return len({mark.name.partition("-")[0] for mark in ended}) >= MOST_STARTS

    def forget(self) -> None:
        """They began with another draft. Raises OSError."""
        for mark in self._folder.glob("*"):
            mark.unlink(missing_ok=True)

    def take_off(self) -> None:
        """Leave nothing to be counted, without taking the lock."""
        if (mark := self._mark) is not None:
            with suppress(OSError):
                mark.unlink(missing_ok=True)

    def _begin(self) -> None:
        with self._lock:
            self._under_way += 1
            if self._mark is None or not self._mark.exists():
                self._leave()
                with suppress(OSError):
                    self._make()

    def _end(self) -> None:
        with self._lock:
            self._under_way -= 1
            if not self._under_way:
                self._leave()

    def _make(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._mark = self._folder / f"{_PROCESS}-{secrets.token_hex(8)}"
        try:
            self._held = self._mark.open("xb", buffering=0)
            fcntl.flock(self._held, fcntl.LOCK_EX)
            self._held.write(b"1")  # until here it counts for nothing: nobody held it yet
        except OSError:
            self._leave()
            raise

    def _leave(self) -> None:
        """First it goes, then it is let go of: nobody finds it free."""
        self.take_off()
        if self._held is not None:
            with suppress(OSError):
                self._held.close()
        self._mark = self._held = None


def _has_ended(mark: Path) -> bool:
    """Whether nobody holds it any more. One that cannot be looked at tells nothing."""
    try:
        with mark.open("rb") as file:
            if not file.read(1):
                return False
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return os.fstat(file.fileno()).st_nlink > 0  # else it was let go of meanwhile
    except OSError:
        return False
