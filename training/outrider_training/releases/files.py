"""A repository as files that are written one by one: in a folder, or wherever fsspec can write."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any, Final, Protocol

from outrider_training.releases.destination import TIMESTAMP_PATH, Shipment, Upload
from outrider_training.releases.errors import DestinationError, RepositoryBusyError

_LOCK: Final = "publisher.lock"
_PIECE_BYTES: Final = 1 << 20
_MAX_TIMESTAMP_BYTES: Final = 1 << 14


class Files(Protocol):
    """What is done with files. Raises OSError; FileExistsError from `create` alone."""

    def holds(self, path: Path) -> bool:
        """See `Destination`."""

    def lock(self) -> AbstractContextManager[None]:
        """Where the place has locks. Raises RepositoryBusyError."""

    def open(self, path: str) -> Any:
        """To read bytes of. Raises FileNotFoundError."""

    def write(self, upload: Upload) -> None:
        """Whole, in the place of an older one."""

    def create(self, upload: Upload) -> None:
        """Whole, unless there is one."""


class FileDestination:
    """Implements `Destination`, whatever the files are."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def holds(self, path: Path) -> bool:
        """See `Destination`."""
        return self._files.holds(path)

    def changing(self) -> AbstractContextManager[None]:
        """See `Destination`."""
        return self._files.lock()

    def read(self, path: str, most_bytes: int) -> bytes | None:
        """See `Destination`."""
        with _failing(path):
            try:
                with self._files.open(path) as file:
                    data: bytes = file.read(most_bytes + 1)
            except FileNotFoundError:
                return None
        if len(data) > most_bytes:
            raise DestinationError(path, f"is longer than {most_bytes:,} bytes")
        return data

    def fetch(self, path: str, target: Path, size_bytes: int) -> None:
        """See `Destination`."""
        left = size_bytes
        with _failing(path), self._files.open(path) as file, target.open("wb") as out:
            while left and (piece := file.read(min(left, _PIECE_BYTES))):
                out.write(piece)
                left -= len(piece)
        if left:
            raise DestinationError(path, f"is cut short: {left:,} bytes are missing")

    def publish(self, shipment: Shipment) -> None:
        """See `Destination`."""
        self._check_unmoved(shipment)
        for upload in shipment.targets:
            with _failing(upload.path):
                self._files.write(upload)
        for upload in shipment.metadata:
            self._create(upload)
        self._check_unmoved(shipment)
        with _failing(TIMESTAMP_PATH):
            self._files.write(Upload(TIMESTAMP_PATH, shipment.timestamp))
        if shipment.root is not None:
            self._create(shipment.root)

    def _create(self, upload: Upload) -> None:
        with _failing(upload.path):
            try:
                self._files.create(upload)
            except FileExistsError as error:
                raise RepositoryBusyError from error

    def _check_unmoved(self, shipment: Shipment) -> None:
        if self.read(TIMESTAMP_PATH, _MAX_TIMESTAMP_BYTES) != shipment.replaced:
            raise RepositoryBusyError


class LocalFiles:
    """A folder, made when something is first written. Files appear whole, by a rename."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def holds(self, path: Path) -> bool:
        """See `Destination`."""
        return path.resolve().is_relative_to(self._folder.resolve())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See `Files`."""
        with _failing(_LOCK):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / _LOCK).open("ab")
        with lock:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise RepositoryBusyError from error
            yield

    def open(self, path: str) -> Any:
        """See `Files`."""
        return (self._folder / path).open("rb")

    def write(self, upload: Upload) -> None:
        """See `Files`."""
        place = self._folder / upload.path
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.partial")
        try:
            with partial.open("wb") as file:
                if isinstance(upload.source, bytes):
                    file.write(upload.source)
                else:
                    with upload.source.open("rb") as source:
                        shutil.copyfileobj(source, file, _PIECE_BYTES)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, place)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def create(self, upload: Upload) -> None:
        """See `Files`. The lock keeps others away between the look and the write."""
        if (self._folder / upload.path).exists():
            raise FileExistsError(upload.path)
        self.write(upload)


class UrlFiles:
    """Below a URL, on a file system whose files appear whole, as those of object stores do."""

    def __init__(self, files: Any, root: str) -> None:
        self._files, self._root = files, root.rstrip("/")

    def holds(self, path: Path) -> bool:
        """See `Destination`."""
        return False

    def lock(self) -> AbstractContextManager[None]:
        """See `Files`: there is none, `publish` looks again before its last write."""
        return nullcontext()

    def open(self, path: str) -> Any:
        """See `Files`."""
        place = self._place(path)
        self._files.invalidate_cache()
        return self._files.open(place, "rb")

    def write(self, upload: Upload) -> None:
        """See `Files`."""
        place = self._place(upload.path)
        self._files.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
        if isinstance(upload.source, bytes):
            self._files.pipe_file(place, upload.source)
        else:
            self._files.put_file(str(upload.source), place)

    def create(self, upload: Upload) -> None:
        """See `Files`; metadata alone, which is small."""
        place = self._place(upload.path)
        self._files.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
        self._files.pipe_file(place, upload.source, mode="create")

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}"


@contextmanager
def _failing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DestinationError(path, error.strerror or type(error).__name__) from error
    except ValueError as error:  # of fsspec's, where a URL is of its kind but makes no sense
        raise DestinationError(path, type(error).__name__) from error
