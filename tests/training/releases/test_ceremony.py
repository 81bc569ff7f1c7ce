"""Keys come and go; devices that knew the old ones follow, and what a lost key signs is nothing."""

import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import ExpiredMetadataError, UnsignedMetadataError

from outrider_training.releases import ceremony
from outrider_training.releases.ceremony import Hands
from outrider_training.releases.errors import (
    KeysMissingError,
    KeyUnknownError,
    KeyUnusableError,
    RepositoryExpiredError,
    RepositoryMissingError,
    RepositoryUntrustedError,
)
from outrider_training.releases.key_folder import KeyFolder
from outrider_training.releases.line_state import LineState
from outrider_training.releases.places import open_destination
from outrider_training.releases.publication import roll_out
from outrider_training.releases.repository import Change, Repository
from tests.training.releases.scene import LINE, Scene


def key_ids(folder: KeyFolder) -> list[str]:
    return [signer.public_key.keyid for signer in folder.signers()]


def copied(folder: KeyFolder, target: Path) -> KeyFolder:
    shutil.copytree(folder.path, target)
    return KeyFolder(target)


def test_keys_are_for_their_owner_alone_and_never_overwritten(scene: Scene) -> None:
    for folder in scene.hands.both:
        (key,) = folder.path.glob("*.pem")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert b"PRIVATE KEY" in key.read_bytes()
    before = {path: path.read_bytes() for path in scene.folder.rglob("*") if path.is_file()}
    with pytest.raises(KeyUnusableError, match=r"holds keys already: name another .* remove them"):
        scene.begin()
    fresh = Hands(KeyFolder(scene.folder / "a"), KeyFolder(scene.folder / "b"))
    with pytest.raises(RepositoryMissingError, match="there is a repository already"):
        ceremony.create(
            scene.repository, fresh, keys=1, threshold=1, anchor=scene.folder / "other.json"
        )
    with pytest.raises(KeyUnusableError, match="root of another repository"):
        ceremony.create(
            scene.repository, fresh, keys=1, threshold=1, anchor=scene.folder / "root.json"
        )
    with pytest.raises(KeyUnusableError, match=r"root\.json: File exists"):
        ceremony.create(
            scene.repository, fresh, keys=1, threshold=1, anchor=scene.folder / "root.json" / "root"
        )
    assert before == {path: path.read_bytes() for path in before}
    assert not (scene.folder / "a").exists()


def test_a_device_follows_when_both_kinds_of_keys_have_changed(scene: Scene, second: Path) -> None:
    device = scene.reader()
    device.look()
    scene.publish(second, second.with_suffix(".json"))
    (old,) = key_ids(scene.hands.online)
    fresh = ceremony.rotate_online(scene.repository, scene.hands)
    assert key_ids(scene.hands.online) == [fresh] != [old]
    assert device.look().line(LINE).next == 1
    (first,) = key_ids(scene.hands.offline)
    ceremony.rotate_offline(scene.repository, scene.hands, first[:10])
    assert first not in key_ids(scene.hands.offline)
    scene.roll_out(lambda state: state.promote())
    assert device.look().line(LINE).stable == 1
    assert scene.reader().look().line(LINE).stable == 1


def test_what_a_removed_online_key_signs_is_refused(
    scene: Scene, second: Path, tmp_path: Path
) -> None:
    """By us, and by devices if somebody puts it there nevertheless."""
    stolen = copied(scene.hands.online, tmp_path / "stolen")
    scene.publish(second, second.with_suffix(".json"))
    ceremony.rotate_online(scene.repository, scene.hands)
    device = scene.reader()
    device.look()
    edition = scene.repository.read(scene.hands.online)
    with pytest.raises(KeysMissingError, match="releases needs the signatures of 1"):
        same = Change(releases=edition.roles.releases.signed)
        scene.repository.replace(edition, same, [stolen])
    forged = edition.roles.timestamp
    forged.signed.version += 1
    forged.sign(stolen.signers()[0])
    (scene.place / "metadata" / "timestamp.json").write_bytes(forged.to_bytes())
    with pytest.raises(UnsignedMetadataError):
        device.look()
    with pytest.raises(RepositoryUntrustedError, match="timestamp is not signed by its keys"):
        scene.repository.read(scene.hands.online)


def test_an_online_key_that_is_lost_can_be_replaced(scene: Scene, second: Path) -> None:
    scene.publish(second, second.with_suffix(".json"))
    device = scene.reader()
    device.look()
    (old,) = key_ids(scene.hands.online)
    scene.hands.online.remove(old)
    ceremony.rotate_online(scene.repository, scene.hands)
    assert device.look().line(LINE).next == 1


def test_so_many_must_sign_as_were_asked_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path).begin(keys=3, threshold=2)
    device = scene.reader()
    device.look()
    first, other, third = key_ids(scene.hands.offline)
    away = copied(scene.hands.offline, tmp_path / "away")
    scene.hands.offline.remove(first)
    scene.hands.offline.remove(other)
    with pytest.raises(KeysMissingError, match="root needs the signatures of 2 of its keys, 1"):
        ceremony.renew(scene.repository, scene.hands.online, scene.hands.offline)
    hands = Hands(away, scene.hands.online)
    assert ceremony.revoke_offline(scene.repository, hands, third) == third
    assert third not in key_ids(away)
    with pytest.raises(KeyUnknownError, match="fewer than must sign"):
        ceremony.revoke_offline(scene.repository, hands, first)
    with pytest.raises(KeyUnknownError, match="names no key"):
        ceremony.revoke_offline(scene.repository, hands, third)
    with pytest.raises(KeyUnknownError, match="names no key"):
        ceremony.rotate_offline(scene.repository, hands, "")
    device.look()


def test_what_has_expired_is_believed_no_more_until_it_is_renewed(
    scene: Scene, second: Path
) -> None:
    """Online keys renew for a year; then the offline ones must."""
    start = datetime.now(UTC)
    scene.clock = lambda: start - timedelta(days=8)
    ceremony.renew(scene.repository, scene.hands.online, None)
    with pytest.raises(ExpiredMetadataError, match="timestamp"):
        scene.reader().look()
    scene.clock = lambda: start
    ceremony.renew(scene.repository, scene.hands.online, None)
    scene.reader().look()
    scene.clock = lambda: start + timedelta(days=366)
    expired = scene.repository.look().roles.expired(scene.clock())
    assert expired == ["root", "targets", "releases", "snapshot", "timestamp"]
    with pytest.raises(RepositoryExpiredError, match="root has expired"):
        scene.publish(second, second.with_suffix(".json"))
    ceremony.renew(scene.repository, scene.hands.online, scene.hands.offline)
    assert scene.repository.look().roles.expired(scene.clock()) == []
    scene.publish(second, second.with_suffix(".json"))
    assert scene.reader().look().line(LINE).next == 1


@pytest.mark.parametrize("broken", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAA\n"])
def test_a_file_that_is_no_key_is_named(scene: Scene, broken: bytes) -> None:
    (scene.hands.online.path / "strange.pem").write_bytes(broken)
    with pytest.raises(KeyUnusableError, match=r"strange\.pem: is no private key"):
        scene.repository.read(scene.hands.online)


def test_offline_and_online_keys_never_share_a_folder(tmp_path: Path) -> None:
    """A rotation removes old keys from the online one."""
    with pytest.raises(KeyUnusableError, match="both the offline and the online keys"):
        Hands(KeyFolder(tmp_path / "keys"), KeyFolder(tmp_path / "x" / ".." / "keys"))


@pytest.mark.parametrize("where", ["{}", "file://{}", "file:{}", "local://{}"])
def test_no_key_lies_where_everybody_reads(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """However the place is called: nothing is signed with such keys, nor made there."""
    monkeypatch.chdir(tmp_path)
    inside = Hands(
        copied(scene.hands.offline, scene.place / "offline"),
        copied(scene.hands.online, Path("elsewhere") / ".." / "repository" / "online"),
    )
    (key,) = key_ids(scene.hands.offline)
    repository = Repository(open_destination(where.format(scene.place)))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    acts: list[Callable[[Hands], object]] = [
        lambda hands: ceremony.renew(repository, hands.online, hands.offline),
        lambda hands: ceremony.rotate_online(repository, hands),
        lambda hands: ceremony.rotate_offline(repository, hands, key),
        lambda hands: ceremony.revoke_offline(repository, hands, key),
    ]
    for hands in (Hands(inside.offline, scene.hands.online), inside):
        for act in acts:
            with pytest.raises(KeyUnusableError, match="lies in the repository, where everybody"):
                act(hands)
    with pytest.raises(KeyUnusableError, match="lies in the repository, where everybody"):
        roll_out(LINE, LineState.hold, repository, inside.online)
    now = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert now.keys() - before.keys() <= {scene.place / "publisher.lock"}
    assert {path: now[path] for path in before} == before
    ceremony.renew(repository, scene.hands.online, scene.hands.offline)


def test_keys_are_not_made_where_everybody_reads(tmp_path: Path) -> None:
    place = tmp_path / "repository"
    hands = Hands(KeyFolder(tmp_path / "offline"), KeyFolder(place / "online"))
    with pytest.raises(KeyUnusableError, match="lies in the repository, where everybody"):
        ceremony.create(
            Repository(open_destination(f"file:{place}")),
            hands,
            keys=1,
            threshold=1,
            anchor=tmp_path / "root.json",
        )
    assert list(tmp_path.iterdir()) == []
