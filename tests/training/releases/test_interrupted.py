"""Whoever publishes may die between any two writes: a reader sees the old state or the new one."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

from outrider_training.releases import ceremony
from outrider_training.releases.destination import Upload
from outrider_training.releases.errors import (
    DestinationError,
    KeyUnusableError,
    RepositoryMissingError,
)
from outrider_training.releases.files import FileDestination, LocalFiles
from tests.simulators.release_reader import ReleaseReader
from tests.training.releases.scene import LINE, Scene, gate_report, learnt

Act = Callable[[Scene], object]


class DyingFiles:
    """A folder whose disk fails after so many writes."""

    def __init__(self, folder: Path, writes: int) -> None:
        self._files, self._left = LocalFiles(folder), writes

    def holds(self, path: Path) -> bool:
        return self._files.holds(path)

    def lock(self) -> AbstractContextManager[None]:
        return self._files.lock()

    def open(self, path: str) -> Any:
        return self._files.open(path)

    def write(self, upload: Upload) -> None:
        self._count()
        self._files.write(upload)

    def create(self, upload: Upload) -> None:
        self._count()
        self._files.create(upload)

    def _count(self) -> None:
        if not self._left:
            raise OSError(ENOSPC, "the disk is full")
        self._left -= 1


def publish_third(scene: Scene) -> None:
    second = scene.folder / "second.gguf"
    third = learnt(second, "third.gguf", 2)
    scene.publish(third, gate_report(scene.folder, third, second))


def rotate_offline(scene: Scene) -> None:
    (signer,) = [s for s in scene.hands.offline.signers() if s.public_key.keyid in root_keys(scene)]
    ceremony.rotate_offline(scene.repository, scene.hands, signer.public_key.keyid)


def root_keys(scene: Scene) -> list[str]:
    return scene.repository.read(scene.hands.online).roles.seat("root").keyids


ACTS: dict[str, tuple[Act, int]] = {
    "publish": (publish_third, 6),  # two forms, line, releases, snapshot, timestamp
    "roll out": (lambda scene: scene.roll_out(lambda state: state.withdraw()), 4),
    "renew": (lambda s: ceremony.renew(s.repository, s.hands.online, s.hands.offline), 5),
    "rotate online": (lambda s: ceremony.rotate_online(s.repository, s.hands), 5),
    "rotate offline": (rotate_offline, 5),
}


def seen_by(reader: ReleaseReader) -> tuple[object, ...]:
    """What a device acts on, whole."""
    seen = reader.look()
    line = seen.line(LINE)
    wanted = line.next or line.stable
    return line, None if wanted is None else seen.file(f"{LINE}/{wanted}.gguf")


MOMENTS = [
    pytest.param(act, writes, id=f"{name}, {writes}")
    for name, (act, most) in ACTS.items()
    for writes in range(most)
]


def begin(scene: Scene, draft: Path) -> None:
    scene.publish(draft, draft.with_suffix(".json"))
    scene.roll_out(lambda state: state.promote())


@pytest.mark.parametrize("name", ACTS)
def test_there_are_no_more_writes_than_those(scene: Scene, second: Path, name: str) -> None:
    act, writes = ACTS[name]
    begin(scene, second)
    scene.destination = FileDestination(DyingFiles(scene.place, writes))
    act(scene)


@pytest.mark.parametrize(("act", "writes"), MOMENTS)
def test_a_reader_sees_the_old_state_or_the_new_one(
    scene: Scene, second: Path, act: Act, writes: int
) -> None:
    begin(scene, second)
    known = scene.reader()
    before = seen_by(known)
    sound, scene.destination = (
        scene.destination,
        FileDestination(DyingFiles(scene.place, writes)),
    )
    with pytest.raises(DestinationError, match="the disk is full"):
        act(scene)
    halfway = seen_by(known)
    assert halfway == seen_by(scene.reader())
    scene.destination = sound
    act(scene)
    after = seen_by(known)
    assert after == seen_by(scene.reader())
    assert halfway in (before, after)
    assert not list(scene.place.rglob("*.partial"))


@pytest.mark.parametrize("writes", range(5))
def test_a_lost_key_is_replaced_in_a_second_attempt(
    scene: Scene, second: Path, writes: int
) -> None:
    """Devices may have to wait for it: nobody could sign for those who know the old key alone."""
    begin(scene, second)
    known = scene.reader()
    before = seen_by(known)
    (lost,) = scene.hands.online.signers()
    scene.hands.online.remove(lost.public_key.keyid)
    sound = scene.destination
    scene.destination = FileDestination(DyingFiles(scene.place, writes))
    with pytest.raises(DestinationError, match="the disk is full"):
        ceremony.rotate_online(scene.repository, scene.hands)
    scene.destination = sound
    ceremony.rotate_online(scene.repository, scene.hands)
    assert seen_by(known) == before


@pytest.mark.parametrize("writes", range(5))
def test_a_repository_that_did_not_come_to_be_is_made_with_other_keys(
    tmp_path: Path, writes: int
) -> None:
    """Targets, releases, snapshot, timestamp, root: what the first try left is in nobody's way."""
    scene = Scene(tmp_path)
    sound, scene.destination = (
        scene.destination,
        FileDestination(DyingFiles(scene.place, writes)),
    )
    with pytest.raises(DestinationError, match="the disk is full"):
        scene.begin()
    scene.destination = sound
    with pytest.raises(KeyUnusableError, match="if they are of a try that failed"):
        scene.begin()
    with pytest.raises(RepositoryMissingError, match="there is no repository"):
        scene.repository.look()
    for folder in scene.hands.both:
        folder.path.rename(folder.path.with_name(f"worthless-{folder.path.name}"))
    scene.begin()
    scene.reader().look()
