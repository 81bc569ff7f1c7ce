"""A device as far as signatures go: TUF's own client over a folder that holds a repository."""

from collections.abc import Iterator
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from outrider_protos.release import Line, Release, full_path, line_path

_HOST = "https://drafts.invalid/"


class FolderFetcher(FetcherInterface):
    """What a static server of the folder would send."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        file = self._folder / url.removeprefix(_HOST)
        if not file.is_file():
            raise DownloadHTTPError("not there", 404)
        return iter([file.read_bytes()])


class ReleaseReader:
    """Remembers what it has seen, as a device does between two looks."""

    def __init__(self, repository: Path, memory: Path, root: bytes) -> None:
        self._repository, self._memory, self._root = repository, memory, root
        memory.mkdir()
        self._targets = memory / "targets"
        self._targets.mkdir()

    def look(self) -> "Seen":
        """Raises what the client raises."""
        updater = Updater(
            str(self._memory),
            f"{_HOST}metadata/",
            str(self._targets),
            f"{_HOST}targets/",
            FolderFetcher(self._repository),
            bootstrap=self._root,
        )
        updater.refresh()
        return Seen(updater)


class Seen:
    """One edition of a repository."""

    def __init__(self, updater: Updater) -> None:
        self._updater = updater

    def line(self, name: str) -> Line:
        data = self.file(line_path(name))
        assert data is not None
        return Line.parse_json(data)

    def release(self, line: str, number: int) -> Release | None:
        found = self._updater.get_targetinfo(full_path(line, number))
        return None if found is None else Release.parse(found.custom)

    def custom(self, path: str) -> object:
        found = self._updater.get_targetinfo(path)
        return None if found is None else found.custom

    def file(self, path: str) -> bytes | None:
        """Whole, and what was signed; None if nothing of this path is."""
        found = self._updater.get_targetinfo(path)
        return None if found is None else Path(self._updater.download_target(found)).read_bytes()
