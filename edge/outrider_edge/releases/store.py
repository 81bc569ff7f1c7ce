"""The installed drafts of a device: files by their own digest, and the pointer to the one in use.

Everything is written beside its place, flushed to the disk and then renamed, so that a device that
dies at any moment finds an old or a new state, never half of one. One process at a time changes it;
any may read. It knows neither where drafts come from nor whether they are any good.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from outrider_edge.errors import BadModelFile, BadRelease, Busy, NoRoom, StoreFailed
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.releases.pointer import Pointer, files_of
from outrider_edge.releases.starts import Starts
from outrider_edge.releases.untried import Untried

_POINTER: Final = "pointer.json"
_DEVICE_BYTES: Final = 16
_MAX_POINTER_BYTES: Final = 1 << 20
_POINTER_JSON: Final = TypeAdapter(Pointer)


def digest_of(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises OSError."""
    with file.open("rb") as data:
        return file_digest(data, "sha256").hexdigest()


def _digest_of_unchanged(file: Path) -> str:
    """Of one that this process may have read before. Raises BadModelFile."""
    try:
        found = file.stat()
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        return _digest_once(file, state)
    except OSError as error:
        raise BadModelFile(file.name, f"cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=8)
def _digest_once(file: Path, state: tuple[int, ...]) -> str:
    return digest_of(file)


def free_bytes(folder: Path) -> int:
    """Of the file system. Raises OSError."""
    return shutil.disk_usage(folder).free


class DraftStore:
    """A folder, made when something is first written. `factory` lies elsewhere and stays there.

    Raises StoreFailed where the folder cannot be used.
    """

    def __init__(
        self, folder: Path, factory: Path, room: Callable[[Path], int] = free_bytes
    ) -> None:
        self._folder, self._files = folder, folder / "files"
        self.metadata = folder / "metadata"  # of the channel, as last seen
        self.trial_record = folder / "trial.json"
        self.word = folder / "word.json"  # for the cloud, which was not there yet
        self.starts = Starts(folder / "starts")
        self.untried = Untried(folder / "untried")
        self._room = room
        self._factory, self._factory_name = factory, _digest_of_unchanged(factory)

    def path(self, file: str) -> Path:
        """Where a file lies, or would lie."""
        if file == self._factory_name:
            return self._factory
        return self._files / f"{file}.gguf"

    def paths(self, name: str) -> tuple[Path, Path | None]:
        """A draft's file, and its adapter if it has one."""
        file, *adapter = files_of(name)
        return self.path(file), self.path(adapter[0]) if adapter else None

    def incoming(self, file: str) -> Path:
        """Where a file lies while it comes."""
        return self._folder / "incoming" / file

    def pointer(self) -> Pointer:
        """Of the drafts that are there: what names a missing file falls back to an older one.

        A pointer that cannot be read counts as none: the device then drafts as it did when new.
        """
        fresh = Pointer(factory=self._factory_name, active=self._factory_name)
        try:
            found = _POINTER_JSON.validate_json(self._written())
        except (OSError, ValidationError):
            return fresh
        return self._of_what_is_there(found)

    def write(self, pointer: Pointer) -> None:
        """Make it the one that counts, and remove the files that it does not keep."""
        with self.failing():
            self._files.mkdir(parents=True, exist_ok=True)
            partial = self._folder / f"{_POINTER}.partial"
            with partial.open("wb") as file:
                file.write(_POINTER_JSON.dump_json(pointer))
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self._folder / _POINTER)
            _sync_folder(self._folder)
            kept = pointer.kept_files
            for file_ in self._files.glob("*.gguf"):
                if file_.stem not in kept:
                    file_.unlink()

    def device(self) -> bytes:
        """A number of this device for this line alone: random, so that it says nothing else."""
        path = self._folder / "device"
        with self.failing():
            self._folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError), path.open("xb") as file:
                file.write(secrets.token_bytes(_DEVICE_BYTES))
            found = path.read_bytes()
        if len(found) == _DEVICE_BYTES:
            return found
        path.unlink()  # it died while writing it
        return self.device()

    def forget_beginnings(self) -> None:
        """What was on its way has come, or is not wanted; processes began with another draft."""
        self.expect(())
        with self.failing():
            self.starts.forget()

    def expect(self, files: Collection[str]) -> None:
        """Only these are on their way; what has come of others makes room."""
        with self.failing():
            for left in self.incoming("").glob("*"):
                if left.name not in files:
                    left.unlink(missing_ok=True)

    def heal(self) -> None:
        """Remove kept files that cannot be drafts any more, so that they are fetched again: what
        names them falls back to an older one.
        """
        for file in self.pointer().kept_files - {self._factory_name}:
            try:
                read_header(self.path(file))
            except BadModelFile as error:
                if not isinstance(error.__cause__, OSError):  # which may pass
                    self.remove(file)

    def add(self, file: Path, name: str) -> Path:
        """Take a file of this file system in, under its digest. Raises BadRelease if it is not
        what its name says; the file then stays where it is.
        """
        with self.failing():
            if digest_of(file) != name:
                raise BadRelease(f"{file.name} is not the file that was promised")
            if name == self._factory_name:
                raise StoreFailed("the draft that this program came with has changed: start anew")
            self._files.mkdir(parents=True, exist_ok=True)
            with file.open("rb+") as data:
                os.fsync(data.fileno())
            os.replace(file, self.path(name))
            _sync_folder(self._files)
            return self.path(name)

    def whole(self, file: str) -> bool:
        """Whether it is there, with the bytes that its name promises."""
        with self.failing():
            return self.path(file).is_file() and digest_of(self.path(file)) == file

    def holds(self, file: str) -> bool:
        """Whether it is whole. What is not goes."""
        if not self.whole(file):
            self.remove(file)
            return False
        return True

    def damaged(self) -> list[str]:
        """Of the files that are kept, those whose bytes are not what their names say."""
        with self.failing():
            return [n for n in sorted(self.pointer().kept_files) if digest_of(self.path(n)) != n]

    def remove(self, file: str) -> None:
        """A damaged one, so that it is fetched again; the factory's is not ours to remove."""
        if file != self._factory_name:
            with self.failing():
                self.path(file).unlink(missing_ok=True)

    def check_room(self, size_bytes: int) -> None:
        """Raises NoRoom if so much more does not fit."""
        with self.failing():
            self._files.mkdir(parents=True, exist_ok=True)
            self.incoming("").mkdir(exist_ok=True)
            free = self._room(self._files)
        if free < size_bytes:
            raise NoRoom(f"the disk has {free:,} bytes left, {size_bytes:,} are needed")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The right to change it. Raises Busy while another process has it."""
        with self.failing():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._files.mkdir(exist_ok=True)
            lock = (self._folder / "lock").open("ab")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy("another process is changing the drafts of this device") from error
            with self.failing(), suppress(FileNotFoundError):
                # What the disk does not give is not none: it would be replaced, and removed.
                os.stat(f"{self._files}/.")
                self._written()
            yield

    def _written(self) -> bytes:
        """The pointer. Raises OSError."""
        with (self._folder / _POINTER).open("rb") as file:
            return file.read(_MAX_POINTER_BYTES)

    def _of_what_is_there(self, found: Pointer) -> Pointer:
        def there(name: str | None) -> str | None:
            try:
                whole = name is not None and all(self.path(f).is_file() for f in files_of(name))
            except OSError:  # no name that was ever written
                return None
            return name if whole else None

        factory = self._factory_name  # the program may have come with a newer one
        active = there(found.active) or there(found.previous) or factory
        return replace(
            found,
            factory=factory,
            active=active,
            previous=there(found.previous) if active == found.active else None,
            trial=there(found.trial),
        )

    @contextmanager
    def failing(self) -> Iterator[None]:
        """What the folder does not let happen is StoreFailed."""
        try:
            yield
        except OSError as error:
            raise StoreFailed(f"the drafts of this device: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """So that a rename in it outlives a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
