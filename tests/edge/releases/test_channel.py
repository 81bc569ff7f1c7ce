"""From an address to an open channel: which way it leads, and when it leads nowhere."""

from dataclasses import replace
from pathlib import Path

import pytest

from outrider_edge.errors import BadSettings, LocalOnly, NotOffered
from outrider_edge.ledger import Meter, Traffic
from outrider_edge.releases.channel import opened
from outrider_edge.releases.settings import CLOUD, Following
from tests.simulators.static_web import StaticWeb


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "repository" / "metadata").mkdir(parents=True)
    (tmp_path / "repository" / "metadata" / "1.root.json").write_bytes(b"root")
    return tmp_path / "repository"


@pytest.fixture
def following(repository: Path, tmp_path: Path) -> Following:
    root = tmp_path / "root.json"
    return Following(channel=str(repository), line="demo", root=root, folder=tmp_path / "drafts")


def read(following: Following, meter: Meter, *, local_only: bool = False) -> bytes:
    with opened(following, None, meter, local_only=local_only) as channel:
        return b"".join(channel.read("metadata/1.root.json"))


@pytest.mark.parametrize("local_only", [True, False])
@pytest.mark.parametrize("before", ["", "file://"])
def test_a_folder_needs_no_connection(following: Following, local_only: bool, before: str) -> None:
    meter = Meter()
    following = replace(following, channel=before + following.channel)
    assert read(following, meter, local_only=local_only) == b"root"
    assert meter.traffic == Traffic(0, 0)


def test_a_folder_may_be_named_from_home(
    following: Following, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(repository.parent))
    assert read(replace(following, channel="~/repository"), Meter()) == b"root"
    with pytest.raises(NotOffered):
        read(replace(following, channel="~nobody-of-that-name/x"), Meter())


def test_an_address_is_asked_over_the_web(following: Following, repository: Path) -> None:
    meter = Meter()
    with StaticWeb(repository) as server:
        there = replace(following, channel=f"{server.url}/")
        assert read(there, meter) == b"root"
        assert meter.traffic == Traffic(server.received, server.sent)
        asked = len(server.asked)
        with pytest.raises(LocalOnly):
            read(there, meter, local_only=True)
        assert len(server.asked) == asked


@pytest.mark.parametrize("where", ["http://example.invalid", "ftp://127.0.0.1"])
def test_other_ways_lead_nowhere(following: Following, where: str) -> None:
    with pytest.raises(BadSettings):
        read(replace(following, channel=where), Meter())


def test_the_clouds_channel_needs_a_cloud(following: Following) -> None:
    with pytest.raises(BadSettings, match="no cloud is named"):
        read(replace(following, channel=CLOUD), Meter())
