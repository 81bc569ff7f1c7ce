"""A channel that lies: every attack the TUF specification lists, and a clock that is wrong."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.errors import (
    BadRelease,
    BadSettings,
    ChannelUnavailable,
    ClockWrong,
    NotOffered,
)
from outrider_edge.ledger import Meter
from outrider_edge.releases.catalogue import Catalogue
from outrider_edge.releases.chunks import complete
from outrider_edge.releases.source import FolderSource, Pace
from outrider_edge.web import Web, WebSource
from outrider_protos.release import RELEASES_ROLE, Line
from tests.simulators.signed_channel import Publication, SignedChannel
from tests.simulators.static_web import Manners, StaticWeb


@pytest.fixture
def channel(tmp_path: Path) -> SignedChannel:
    """One release, for everybody."""
    channel = SignedChannel(tmp_path / "channel")
    channel.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    return channel


def looked(channel: SignedChannel, folder: Path | None = None) -> Catalogue:
    """What a device sees, which has looked before if the folder is there."""
    source = FolderSource(channel.folder)
    return Catalogue(source, folder or channel.folder / "device", channel.root_bytes)


def test_a_release_is_found(channel: SignedChannel) -> None:
    catalogue = looked(channel)
    assert catalogue.line("demo") == Line(stable=1)
    offer = catalogue.offer("demo", 1)
    assert offer.full.size_bytes == SHIPPED_DRAFT.stat().st_size
    assert offer.smaller == ()
    with pytest.raises(NotOffered):
        catalogue.offer("demo", 2)
    assert catalogue.line("another") is None


def test_arbitrary_software_is_refused(channel: SignedChannel, tmp_path: Path) -> None:
    """A file that was swapped on the server is not the one that was signed."""
    offer = looked(channel).offer("demo", 1)
    stored = channel.folder / offer.full.path
    stored.write_bytes(bytes(offer.full.size_bytes))
    source = FolderSource(channel.folder)

    def fetch(first: int, count: int) -> Iterator[bytes]:
        return source.read(offer.full.path, first, count)

    with pytest.raises(BadRelease, match="other bytes"):
        complete(tmp_path / "file", offer.full.plan, fetch, lambda count: None)


def test_a_swapped_line_is_refused(channel: SignedChannel) -> None:
    (path,) = (channel.folder / "targets" / "demo").glob("*.line.json")
    path.write_bytes(json.dumps(Line(stable=7).custom()).encode())
    catalogue = looked(channel)
    with pytest.raises(BadRelease, match="cannot be trusted"):
        catalogue.line("demo")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", RELEASES_ROLE])
def test_wrong_keys_are_refused(channel: SignedChannel, role: str) -> None:
    signed = {
        "timestamp": channel.timestamp,
        "snapshot": channel.snapshot,
        "targets": channel.targets,
        RELEASES_ROLE: channel.releases,
    }[role]
    channel.write(role, signed, CryptoSigner.generate_ed25519())
    with pytest.raises(BadRelease, match="cannot be trusted"):
        looked(channel).line("demo")


def test_a_root_is_followed_only_by_one_it_trusts(channel: SignedChannel) -> None:
    channel.root.version = 2
    channel.write("root", channel.root, CryptoSigner.generate_ed25519())
    with pytest.raises(BadRelease, match="cannot be trusted"):
        looked(channel)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", RELEASES_ROLE])
def test_versions_never_go_back(channel: SignedChannel, tmp_path: Path, role: str) -> None:
    """A rollback attack: what was signed earlier, by the right keys, is shown again."""
    channel.sign()
    looked(channel, tmp_path / "device").line("demo")
    if role != "timestamp":
        channel.timestamp.version += 1
    old = {"timestamp": channel.timestamp, "snapshot": channel.snapshot}.get(role, channel.releases)
    if role == "timestamp":
        channel.timestamp.version = 1
    if role == "snapshot":
        channel.snapshot.version = 1
        channel.timestamp.snapshot_meta.version = 1
    if role == RELEASES_ROLE:
        old.version = 1
        channel.snapshot.version += 1
        channel.snapshot.meta[f"{RELEASES_ROLE}.json"].version = 1
        channel.timestamp.snapshot_meta.version += 1
        channel.write("snapshot", channel.snapshot)
    channel.write(role, old)
    channel.write("timestamp", channel.timestamp)
    with pytest.raises(BadRelease, match="cannot be trusted"):
        looked(channel, tmp_path / "device").line("demo")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", RELEASES_ROLE, "root"])
def test_a_frozen_channel_is_noticed(channel: SignedChannel, role: str) -> None:
    """Somebody shows for ever what was once right: signatures expire."""
    past = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    signed = {
        "timestamp": channel.timestamp,
        "snapshot": channel.snapshot,
        "targets": channel.targets,
        RELEASES_ROLE: channel.releases,
        "root": channel.root,
    }[role]
    signed.expires = past
    if role == "root":
        channel.root.version = 2
        channel.write("root", channel.root)
    else:
        channel.sign()
    with pytest.raises(BadRelease, match=r"expired.*clock"):
        looked(channel).line("demo")


def test_parts_of_two_states_do_not_mix(channel: SignedChannel, tmp_path: Path) -> None:
    """A mix-and-match attack: the newest snapshot with older releases."""
    older = channel.place(RELEASES_ROLE, channel.version).read_bytes()
    channel.point(Line(stable=1, held=True))
    channel.place(RELEASES_ROLE, channel.version).write_bytes(older)
    with pytest.raises(BadRelease, match="cannot be trusted"):
        looked(channel).line("demo")


class EndlessSource(FolderSource):
    """Says without end whatever it began to say about one file."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self._name = name

    def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
        yield from super().read(path, first, count)
        while path.endswith(self._name):
            yield bytes(1 << 16)


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot.json", "releases.json", "line.json"])
def test_endless_data_ends(channel: SignedChannel, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRelease, match="cannot be trusted"):
        Catalogue(
            EndlessSource(channel.folder, name), tmp_path / "device", channel.root_bytes
        ).line("demo")


def test_slow_retrieval_is_given_up(channel: SignedChannel, tmp_path: Path) -> None:
    """Over the web; of a cloud the same is tested with its server."""
    with StaticWeb(channel.folder, Manners(bytes_per_s=50.0)) as server:
        pace = Pace(window_s=0.2, least_bytes=4096)
        with (
            closing(Web(Meter(), local_only=False, pace=pace)) as web,
            pytest.raises(ChannelUnavailable, match="it is given up"),
        ):
            Catalogue(WebSource(web, server.url), tmp_path / "device", channel.root_bytes)


def test_nothing_extraneous_is_fetched(channel: SignedChannel) -> None:
    """A release may not make a device fetch what belongs to another one."""
    channel.add("demo/9.adapter.gguf", b"extraneous", {"kind": "adapter", "base_sha256": "0" * 64})
    channel.publish(
        Publication(number=2, file=SHIPPED_DRAFT, forms=("demo/9.adapter.gguf",)), Line(stable=2)
    )
    with pytest.raises(BadRelease, match="not its own"):
        looked(channel).offer("demo", 2)


@pytest.mark.parametrize("name", ["/etc/outrider", "../../outrider", "0" * 63, "A" * 64])
def test_a_digest_that_is_none_names_no_file(channel: SignedChannel, name: str) -> None:
    """Devices keep files under their digests, so it would be written and removed there."""
    channel.releases.targets["demo/1.gguf"].hashes = {"sha256": name}
    channel.sign()
    with pytest.raises(BadRelease, match="without a SHA-256"):
        looked(channel).offer("demo", 1)


def test_nobody_but_the_releases_role_names_drafts(channel: SignedChannel) -> None:
    """The delegation is for drafts alone: another role's word for one counts for nothing."""
    target = channel.releases.targets.pop("demo/1.gguf")
    channel.snapshot.meta["other.json"] = channel.snapshot.meta["targets.json"]
    channel.sign()
    other = Metadata(channel.releases)
    other.signed.targets["demo/1.gguf"] = target
    other.sign(channel.keys["snapshot"])
    other.to_file(str(channel.folder / "metadata" / "1.other.json"))
    with pytest.raises(NotOffered):
        looked(channel).offer("demo", 1)


def test_a_clock_far_ahead_is_named(channel: SignedChannel) -> None:
    """To such a device everything has expired."""
    channel.expires = channel.timestamp.expires = datetime(2020, 1, 1, tzinfo=UTC)
    channel.sign()
    with pytest.raises(BadRelease, match=r"clock .* is wrong"):
        looked(channel)


def test_a_clock_far_behind_is_noticed(channel: SignedChannel, tmp_path: Path) -> None:
    """To such a device nothing ever expires."""
    looked(channel, tmp_path / "device")
    with pytest.raises(ClockWrong, match="set the clock"):
        Catalogue(
            FolderSource(channel.folder),
            tmp_path / "device",
            channel.root_bytes,
            clock=lambda: time.time() - 90 * 86_400,
        )


@pytest.mark.parametrize("what", ["nonsense", "a timestamp"])
def test_a_root_that_is_none_is_the_users_to_mend(
    channel: SignedChannel, tmp_path: Path, what: str
) -> None:
    timestamp = channel.place("timestamp", 1).read_bytes()
    channel.root_bytes = b"{" if what == "nonsense" else timestamp
    with pytest.raises(BadSettings, match="no root of TUF"):
        looked(channel)


def test_missing_metadata_is_a_clear_error(channel: SignedChannel) -> None:
    (channel.folder / "metadata" / "timestamp.json").unlink()
    with pytest.raises(NotOffered, match="no metadata"):
        looked(channel)


def test_half_a_file_of_metadata_is_refused(channel: SignedChannel) -> None:
    path = channel.place("snapshot", channel.version)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadRelease, match="cannot be trusted"):
        looked(channel)


def test_damaged_memory_of_the_channel_is_no_obstacle(
    channel: SignedChannel, tmp_path: Path
) -> None:
    """What a device remembers may be damaged by a loss of power; the root it came with is not."""
    device = tmp_path / "device"
    looked(channel, device)
    for path in device.rglob("*.json"):
        if not path.is_symlink():
            path.write_bytes(b"half a f")
    assert looked(channel, device).line("demo") == Line(stable=1)


def test_two_looks_cost_one_timestamp(channel: SignedChannel, tmp_path: Path) -> None:
    """What is known already is not fetched again."""
    looked(channel, tmp_path / "device").line("demo")
    moved = copytree(channel.folder / "metadata", tmp_path / "moved" / "metadata")
    for path in moved.glob("*.json"):
        if path.name not in ("timestamp.json",):
            os.unlink(path)
    Catalogue(FolderSource(tmp_path / "moved"), tmp_path / "device", channel.root_bytes)
