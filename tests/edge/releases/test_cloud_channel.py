"""A channel behind a cloud that does as it likes: it drips, it hangs up, it tells news for ever."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme

from outrider_edge.client import Address
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.errors import ChannelUnavailable, ProtocolError
from outrider_edge.ledger import Ledger, Meter
from outrider_edge.releases.catalogue import Catalogue
from outrider_edge.releases.settings import CLOUD, Following, UpdateSettings
from outrider_edge.releases.source import Pace
from outrider_edge.updates import Updates
from outrider_protos.release import Line
from outrider_protos.v1 import drafts_pb2 as pb
from tests.simulators.odd_cloud import OddCloud, channel_of, served, silent
from tests.simulators.signed_channel import SignedChannel


@pytest.fixture
def signed(tmp_path: Path) -> SignedChannel:
    channel = SignedChannel(tmp_path / "channel")
    channel.point(Line())
    return channel


def news_for_ever() -> Iterator[pb.News]:
    version = 1_000_000
    while True:
        version += 1
        yield pb.News(version=str(version))
        time.sleep(0.01)


def test_slow_retrieval_is_given_up(signed: SignedChannel, tmp_path: Path) -> None:
    pace = Pace(window_s=0.2, least_bytes=4096)
    cloud = OddCloud(signed.folder, silent, drips=True)
    given_up = pytest.raises(ChannelUnavailable, match="it is given up")
    with channel_of(cloud, pace) as channel, given_up:
        Catalogue(channel, tmp_path / "device", signed.root_bytes)


def test_a_version_may_be_any_number(signed: SignedChannel) -> None:
    version = 10**230
    cloud = OddCloud(signed.folder, lambda: iter([pb.News(version=str(version + 1))]))
    with channel_of(cloud) as channel:
        assert list(channel.news(version)) == [version + 1]
    assert int(cloud.known) == version


@pytest.mark.parametrize("version", ["", "new", "9" * 5000], ids=len)
def test_a_version_that_is_no_number_is_an_error(signed: SignedChannel, version: str) -> None:
    cloud = OddCloud(signed.folder, lambda: iter([pb.News(version=version)]))
    with channel_of(cloud) as channel, pytest.raises(ProtocolError, match="no number"):
        list(channel.news(1))


@contextmanager
def following(
    address: Address, signed: SignedChannel, folder: Path, meter: Meter, every_s: float = 3600.0
) -> Iterator[list[str]]:
    """What a device in the background says meanwhile."""
    (folder / "root.json").write_bytes(signed.root_bytes)
    follows = Following(
        channel=CLOUD,
        line="demo",
        root=folder / "root.json",
        folder=folder / "drafts",
        every_s=every_s,
        even_metered=True,
        even_on_battery=True,
    )
    settings = UpdateSettings(
        following=follows, factory=SHIPPED_DRAFT, cloud=address, local_only=False, threads=1
    )
    updates = Updates(settings, meter, Ledger(folder / "ledger"))
    stop, said = threading.Event(), list[str]()
    thread = threading.Thread(target=updates.follow, args=(stop, said.append))
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def until(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_who_hangs_up_is_not_called_back_at_once(signed: SignedChannel, tmp_path: Path) -> None:
    cloud = OddCloud(signed.folder, silent)
    with served(cloud) as address, following(address, signed, tmp_path, Meter()):
        until(lambda: cloud.watches > 0)
        time.sleep(1.0)
    assert cloud.watches == 1


def test_what_is_heard_between_looks_is_in_the_ledger(
    signed: SignedChannel, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Listening ends without a word on the terminal, too."""
    meter = Meter()
    cloud = OddCloud(signed.folder, news_for_ever)
    with served(cloud) as address, following(address, signed, tmp_path, meter):
        until(lambda: meter.traffic.bytes_received > 200)
    with closing(sqlite3.connect(tmp_path / "ledger")) as ledger:
        (written,) = ledger.execute("SELECT sum(bytes_received) FROM updates").fetchone()
    assert written == meter.traffic.bytes_received
    assert not recwarn.list


def test_a_channel_that_cannot_be_opened_is_told_and_opened_later(
    signed: SignedChannel, tmp_path: Path
) -> None:
    authority, ca = trustme.CA(), tmp_path / "typo.pem"
    cloud = OddCloud(signed.folder, silent)
    with (
        served(cloud, authority, ca) as address,
        following(address, signed, tmp_path, Meter(), every_s=1.0) as said,
    ):
        until(lambda: said == ["the CA file typo.pem cannot be read"])
        authority.cert_pem.write_to_path(str(ca))
        until(lambda: cloud.watches > 0)
        until(lambda: said[1:] == ["up to date"])
