"""Whoever stole the online key signs the last versions and numbers there can be: once the key is
exchanged the owner goes on, and so do devices that have seen all of it, and the cloud.
"""

import json
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Timestamp

from outrider_cloud.releases.catalogue import read_catalogue, read_version
from outrider_cloud.releases.folder import RepositoryFolder
from outrider_protos.errors import MalformedMessage
from outrider_protos.release import MAX_RELEASE_NUMBER, Line
from outrider_training.releases import ceremony
from outrider_training.releases.errors import RepositoryUntrustedError, RolloutError
from outrider_training.releases.line_state import LineState
from outrider_training.releases.roles import meta_of
from tests.training.releases.scene import LINE, Scene, gate_report, learnt

LAST = (1 << 32) - 1  # that the cloud's messages hold


@dataclass
class Thief:
    """Has the online key as it is now, and can write where the repository lies."""

    scene: Scene

    def __post_init__(self) -> None:
        (self._signer,) = self.scene.hands.online.signers()
        self._roles = self.scene.repository.look().roles
        self.releases = deepcopy(self._roles.releases.signed)

    def offer(self, number: int) -> None:
        """To everybody, as the last number ever given."""
        data = json.dumps({"next": number, "percent": 100}).encode()
        self.point(data)
        full = TargetFile.from_data(f"{LINE}/{number}.gguf", b"bad")
        self.releases.targets[full.path] = full
        self.remember({LINE: {"highest": number, "former": []}})

    def point(self, data: bytes) -> None:
        """What devices of the line read."""
        pointer = TargetFile.from_data(f"{LINE}/line.json", data)
        self.releases.targets[pointer.path] = pointer
        self._write(f"targets/{pointer.get_prefixed_paths()[0]}", data)

    def remember(self, lines: object) -> None:
        """What the publisher reads."""
        self.releases.unrecognized_fields["outrider_lines"] = lines

    def sign(self, version: int) -> None:
        """All that the key signs."""
        self.releases.version = version
        metas = dict(self._roles.snapshot.signed.meta)
        metas["releases.json"] = self._signed("releases", self.releases)
        metas["strange.json"] = MetaFile(1 << 50)
        snapshot = Snapshot(version, expires=self.releases.expires, meta=metas)
        stamp = Timestamp(version, expires=self.releases.expires)
        stamp.snapshot_meta = self._signed("snapshot", snapshot)
        self._signed("timestamp", stamp)

    def _signed(self, role: str, payload: Any) -> MetaFile:
        metadata = Metadata[Any](payload)
        metadata.sign(self._signer)
        name = role if role == "timestamp" else f"{payload.version}.{role}"
        self._write(f"metadata/{name}.json", metadata.to_bytes())
        return meta_of(metadata)

    def _write(self, path: str, data: bytes) -> None:
        (self.scene.place / path).write_bytes(data)


@pytest.fixture
def honest(scene: Scene, second: Path) -> Scene:
    """A release for everybody."""
    scene.publish(second, second.with_suffix(".json"))
    scene.roll_out(LineState.promote)
    return scene


def cloud_reads(scene: Scene) -> Line:
    folder = RepositoryFolder(scene.place)
    assert read_version(folder) <= LAST
    return read_catalogue(folder).lines[LINE]


@pytest.mark.parametrize("version", [1 << 30, LAST - 1, LAST, 1 << 40])
@pytest.mark.parametrize("number", [MAX_RELEASE_NUMBER - 1, MAX_RELEASE_NUMBER])
def test_the_owner_goes_on_after_the_key_is_exchanged(
    honest: Scene, second: Path, tmp_path: Path, version: int, number: int
) -> None:
    device, thief = honest.reader(), Thief(honest)
    thief.offer(number)
    thief.sign(version)
    assert device.look().line(LINE).next == number
    ceremony.rotate_online(honest.repository, honest.hands)
    assert device.look().line(LINE).next == number
    honest.roll_out(lambda state: state.withdraw(number))
    third = learnt(second, "third.gguf", 2)
    done = honest.publish(third, gate_report(tmp_path, third, second), percent=100)
    assert done.number == (2 if number == MAX_RELEASE_NUMBER else MAX_RELEASE_NUMBER)
    line = Line(next=done.number, percent=100, withdrawn=(number,))
    for seen in (device.look(), honest.reader().look()):
        assert seen.line(LINE) == line
        assert seen.file(f"{LINE}/{done.number}.gguf") == third.read_bytes()
    assert cloud_reads(honest) == line


@pytest.mark.parametrize("number", [LAST, 1 << 40])
def test_a_number_that_no_device_reads_leaves_the_owner_the_line(
    honest: Scene, second: Path, tmp_path: Path, number: int
) -> None:
    device, thief = honest.reader(), Thief(honest)
    thief.offer(number)
    thief.sign(1 << 40)
    with pytest.raises(MalformedMessage):
        device.look().line(LINE)
    with pytest.raises(RepositoryUntrustedError, match="is malformed"):
        honest.roll_out(LineState.withdraw)
    ceremony.rotate_online(honest.repository, honest.hands)
    with pytest.raises(RolloutError, match="is no release"):
        honest.roll_out(lambda state: state.withdraw(number))
    third = learnt(second, "third.gguf", 2)
    done = honest.publish(third, gate_report(tmp_path, third, second))
    assert done.number == 2
    assert device.look().line(LINE) == Line(next=2, percent=10)
    assert cloud_reads(honest) == device.look().line(LINE)


def test_many_files_of_one_number_end_no_line(honest: Scene, second: Path, tmp_path: Path) -> None:
    """As many as are remembered, so that there was no room for another."""
    thief = Thief(honest)
    files = {sha256(bytes([number])).hexdigest(): 1 for number in range(128)}
    thief.remember({LINE: {"highest": 1, "former": [], "files": files}})
    thief.sign(9)
    ceremony.rotate_online(honest.repository, honest.hands)
    third = learnt(second, "third.gguf", 3)
    assert honest.publish(third, gate_report(tmp_path, third, second)).number == 2
    assert honest.reader().look().line(LINE).next == 2


@pytest.mark.parametrize("data", [b"", b"{", b'{"withdrawn": [0]}', b" " * (1 << 15)])
@pytest.mark.parametrize("lines", [None, [], {LINE: {"highest": "x"}}, {"No Line": {}}])
def test_what_nobody_can_read_is_left_out_with_the_key(
    honest: Scene, second: Path, tmp_path: Path, data: bytes, lines: object
) -> None:
    thief = Thief(honest)
    thief.point(data)
    thief.remember(lines)
    thief.sign(9)
    with pytest.raises(RepositoryUntrustedError):
        honest.publish(second, second.with_suffix(".json"))
    ceremony.rotate_online(honest.repository, honest.hands)
    third = learnt(second, "third.gguf", 2)
    assert honest.publish(third, gate_report(tmp_path, third, second)).number == 2
    assert honest.reader().look().line(LINE).next == 2


def test_without_another_key_no_version_is_left(honest: Scene) -> None:
    """Devices would not go back as long as they believe the thief."""
    Thief(honest).sign(LAST)
    with pytest.raises(RepositoryUntrustedError, match="exchange the online key"):
        ceremony.renew(honest.repository, honest.hands.online, None)
