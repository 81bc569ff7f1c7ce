"""Places a repository may lie in, and two publishers at one of them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import fsspec
import pytest

from outrider_training.releases import ceremony
from outrider_training.releases.destination import TIMESTAMP_PATH, Upload
from outrider_training.releases.errors import (
    DestinationError,
    RepositoryBusyError,
    RepositoryMissingError,
    RepositoryUntrustedError,
)
from outrider_training.releases.files import FileDestination, UrlFiles
from outrider_training.releases.places import open_destination
from outrider_training.releases.repository import Change, Repository
from tests.training.releases.scene import LINE, Scene

URL = "memory://drafts"


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Scene]:
    """On an object store, as fsspec's memory is one."""
    made = Scene(tmp_path)
    made.destination = open_destination(URL)
    yield made.begin()
    fsspec.filesystem("memory").rm("/drafts", recursive=True)


def mirror(folder: Path) -> None:
    files = fsspec.filesystem("memory")
    for name in files.find("/drafts"):
        place = folder / name.removeprefix("/drafts/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(files.cat_file(name))


def test_a_url_is_as_good_as_a_folder(in_memory: Scene, second: Path) -> None:
    in_memory.publish(second, second.with_suffix(".json"))
    in_memory.roll_out(lambda state: state.promote())
    ceremony.rotate_online(in_memory.repository, in_memory.hands)
    mirror(in_memory.place)
    seen = in_memory.reader().look()
    assert seen.line(LINE).stable == 1
    assert seen.file("demo/1.gguf") == second.read_bytes()


class Crowded:
    """Files of an object store where somebody else publishes at a certain moment: before a write,
    or before the timestamp is looked at.
    """

    def __init__(self, moment: int, meanwhile: Callable[[], object]) -> None:
        self._files = UrlFiles(fsspec.filesystem("memory"), "/drafts")
        self._left, self._meanwhile = moment, meanwhile

    def holds(self, path: Path) -> bool:
        return self._files.holds(path)

    def lock(self) -> AbstractContextManager[None]:
        return self._files.lock()

    def open(self, path: str) -> Any:
        if path == TIMESTAMP_PATH:
            self._count()
        return self._files.open(path)

    def write(self, upload: Upload) -> None:
        self._count()
        self._files.write(upload)

    def create(self, upload: Upload) -> None:
        self._count()
        self._files.create(upload)

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._meanwhile()


@pytest.mark.parametrize("moment", range(2, 7))
def test_without_a_lock_the_later_of_two_is_refused(
    in_memory: Scene, second: Path, moment: int
) -> None:
    """From when it has read until it has looked a last time; the other one's edition is whole."""
    in_memory.publish(second, second.with_suffix(".json"))
    alone = in_memory.destination

    def meanwhile() -> None:
        in_memory.destination = alone
        in_memory.roll_out(lambda state: state.stage(50))

    in_memory.destination = FileDestination(Crowded(moment, meanwhile))
    with pytest.raises(RepositoryBusyError):
        in_memory.roll_out(lambda state: state.withdraw())
    mirror(in_memory.place)
    assert in_memory.reader().look().line(LINE).percent == 50
    in_memory.roll_out(lambda state: state.promote())


def test_whoever_read_before_another_published_is_refused(in_memory: Scene, second: Path) -> None:
    repository = in_memory.repository
    seen = repository.read(in_memory.hands.online)
    in_memory.publish(second, second.with_suffix(".json"))
    files = fsspec.filesystem("memory")
    before = {name: files.cat_file(name) for name in files.find("/drafts")}
    again = Change(releases=seen.roles.releases.signed)
    with pytest.raises(RepositoryBusyError):
        repository.replace(seen, again, [in_memory.hands.online])
    assert before == {name: files.cat_file(name) for name in files.find("/drafts")}


def test_a_folder_is_changed_by_one_at_a_time(scene: Scene, second: Path) -> None:
    other = Repository(open_destination(str(scene.place)))
    with other.changing():
        with pytest.raises(RepositoryBusyError, match="somebody else is publishing"):
            scene.publish(second, second.with_suffix(".json"))
        scene.reader().look()
    scene.publish(second, second.with_suffix(".json"))


def test_many_at_once_lose_nothing(scene: Scene, second: Path) -> None:
    """Each is told to wait, or has its release: no two have one number."""
    told: list[int] = []
    lock = threading.Lock()

    def publish(line: str) -> None:
        while True:
            try:
                done = scene.publish(second, second.with_suffix(".json"), line=line, percent=10)
            except RepositoryBusyError:
                continue
            with lock:
                told.append(done.number)
            return

    threads = [threading.Thread(target=publish, args=(LINE,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [1, 2, 3, 4]


def test_a_folder_may_be_called_by_its_url(scene: Scene) -> None:
    for name in (str(scene.place), scene.place.as_uri()):
        assert Repository(open_destination(name)).look().roles.root.signed.version == 1


def test_places_that_cannot_be_used_are_named(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match=r"^nowhere: no place to publish to: ValueError$"):
        open_destination("nowhere://secret@host/drafts")
    with pytest.raises(RepositoryMissingError, match="there is no repository"):
        Repository(open_destination(str(tmp_path / "empty"))).look()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DestinationError, match=r"metadata/1\.root\.json: Not a directory"):
        Repository(open_destination(str(tmp_path / "file"))).look()
    with pytest.raises(DestinationError, match="is longer than 10 bytes"):
        scene.destination.read(TIMESTAMP_PATH, 10)
    with pytest.raises(DestinationError, match="is cut short: 9"):
        size = (scene.place / TIMESTAMP_PATH).stat().st_size
        scene.destination.fetch(TIMESTAMP_PATH, tmp_path / "copy", size + 9)


@pytest.mark.parametrize(
    "scheme", ["reference", "jupyter", "dbfs", "generic", "github", "dir", "asyncwrapper"]
)
def test_what_wants_more_than_a_url_is_no_place(scheme: str) -> None:
    with pytest.raises(DestinationError, match=f"^{scheme}: no place to publish to: "):
        open_destination(f"{scheme}://secret")


def test_a_url_of_another_sense_is_no_place() -> None:
    with pytest.raises(DestinationError, match=r"^metadata/1\.root\.json: ValueError$"):
        Repository(open_destination("data://secret")).look()


@pytest.mark.parametrize("where", ["zip::file://{}", "dir::file://{}", "simplecache::file://{}"])
def test_a_url_within_a_url_is_no_place(scene: Scene, where: str) -> None:
    """Keys may lie there, where everybody reads."""
    with pytest.raises(DestinationError, match=r"^[a-z]+: no place .* a URL within a URL \(::\)$"):
        open_destination(where.format(scene.place))


def test_what_somebody_else_put_there_is_not_signed_anew(
    scene: Scene, second: Path, tmp_path: Path
) -> None:
    """Neither metadata of other keys, nor a root that trusts them, nor a file that was changed."""
    other = Scene(tmp_path / "other")
    other.folder.mkdir()
    other.begin()
    scene.publish(second, second.with_suffix(".json"))
    files = {p: p.read_bytes() for p in scene.place.rglob("*") if p.is_file()}
    for name in ("timestamp.json", "2.snapshot.json", "2.releases.json", "1.targets.json"):
        place = scene.place / "metadata" / name
        theirs = other.place / "metadata" / name.replace("2.", "1.")
        place.write_bytes(theirs.read_bytes())
        with pytest.raises(RepositoryUntrustedError):
            scene.roll_out(lambda state: state.promote())
        place.write_bytes(files[place])
    ceremony.renew(other.repository, other.hands.online, other.hands.offline)
    root = scene.place / "metadata" / "2.root.json"
    root.write_bytes((other.place / "metadata" / root.name).read_bytes())
    with pytest.raises(RepositoryUntrustedError, match="root is not signed by its keys"):
        scene.roll_out(lambda state: state.promote())
    root.unlink()
    (pointer,) = (scene.place / "targets" / LINE).glob("*.line.json")
    pointer.write_bytes(b'{"stable":1}')
    with pytest.raises(RepositoryUntrustedError, match="is not what was signed"):
        scene.roll_out(lambda state: state.promote())
