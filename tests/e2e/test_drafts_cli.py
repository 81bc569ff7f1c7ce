"""`outrider drafts` as a person uses it, on channels of every kind."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from outrider_edge.cli import app
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.releases.store import DraftStore, digest_of
from outrider_protos.release import Line
from tests.simulators.drafts import spoiled
from tests.simulators.process import announced, process
from tests.simulators.signed_channel import Publication, SignedChannel
from tests.simulators.static_web import Manners, StaticWeb

RUNNER = CliRunner()


class Desk:
    """A channel with one release, and the flags of a device that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signed = SignedChannel(folder / "channel")
        self.factory = spoiled(folder / "weak.gguf", 1.0)
        wish = Publication(number=1, file=SHIPPED_DRAFT, delta_from=self.factory)
        self.signed.publish(wish, Line(stable=1))
        (folder / "root.json").write_bytes(self.signed.root_bytes)
        self.flags = [
            *("--root", str(folder / "root.json"), "--draft", str(self.factory)),
            *("--drafts", str(folder / "drafts"), "--ledger", str(folder / "ledger.sqlite")),
        ]

    @property
    def store(self) -> DraftStore:
        return DraftStore(self.folder / "drafts" / "demo", self.factory)

    def run(self, *words: str, channel: str | None = None, code: int = 0) -> str:
        where = ("--channel", channel or str(self.signed.folder))
        result = RUNNER.invoke(app, ["drafts", *words, *where, *self.flags])
        assert result.exit_code == code, result.output
        return result.output

    def ledger(self) -> dict[str, int]:
        flags = ["--ledger", str(self.folder / "ledger.sqlite"), "--json"]
        result = RUNNER.invoke(app, ["ledger", *flags])
        found: dict[str, int] = json.loads(result.output)["updates"]
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_release_is_installed_listed_pinned_and_rolled_back(desk: Desk) -> None:
    assert "release 1 is on trial" in desk.run("update")
    listed = desk.run("list")
    assert "trial" in listed and "active, factory" in listed
    desk.store.write(desk.store.pointer().commit())
    assert "pinned to release 1" in desk.run("pin")
    assert "pinned: nothing new" in desk.run("update")
    assert "unpinned" in desk.run("pin", "--off")
    assert "up to date" in desk.run("update")
    assert "2 checked, all are what they should be" in desk.run("verify")
    assert "back to the draft it came with" in desk.run("rollback")
    assert json.loads(desk.run("update", "--json"))["state"] == "up to date"  # refused for good
    rows = json.loads(desk.run("list", "--json"))
    assert [row["role"] for row in rows["drafts"]] == ["active, factory"]
    assert rows["refused"] == [digest_of(SHIPPED_DRAFT)]


def test_what_became_of_each_step_is_said_to_programs_too(desk: Desk) -> None:
    desk.run("update")
    desk.store.write(desk.store.pointer().commit())
    desk.signed.point(Line(withdrawn=(1,)))
    said = json.loads(desk.run("update", "--json"))
    assert said["steps"][0]["state"] == "reverted"
    assert said["steps"][0]["text"] == "release 1 was withdrawn"
    assert (said["steps"][-1]["text"], said["text"]) == ("up to date", "up to date")


def test_what_the_channel_has_not_rightly_is_its_fault(desk: Desk) -> None:
    for file in (desk.signed.folder / "targets" / "demo").glob("*.1.*"):
        file.write_bytes(bytes(file.stat().st_size))
    assert "release 1 is not to be had" in desk.run("update", code=3)


def test_damage_is_found_and_fetched_again(desk: Desk) -> None:
    desk.run("update")
    store = desk.store
    store.write(store.pointer().commit())
    installed = store.path(digest_of(SHIPPED_DRAFT))
    installed.write_bytes(installed.read_bytes()[:-1] + b"!")
    assert "damaged" in desk.run("verify", code=4)
    assert desk.store.pointer().drafting == digest_of(desk.factory)
    assert "on trial" in desk.run("update")


def test_the_web_is_counted_and_left_alone_when_told(desk: Desk) -> None:
    with StaticWeb(desk.signed.folder) as web:
        assert "on trial" in desk.run("update", channel=web.url)
        sent, received = web.sent, web.received
        asked = len(web.asked)
        said = desk.run("update", "--local-only", channel=web.url, code=2)
        assert "no connection may be opened" in said
        assert len(web.asked) == asked
    counted = desk.ledger()
    assert counted["bytes_received"] == pytest.approx(sent, rel=0.05)
    assert counted["bytes_sent"] == pytest.approx(received, rel=0.2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_is_killed_has_counted_nearly_all(desk: Desk, number: signal.Signals) -> None:
    desk.signed.publish(Publication(number=2, file=SHIPPED_DRAFT), Line(stable=2))  # no delta
    with StaticWeb(desk.signed.folder, Manners(bytes_per_s=100_000.0)) as web:
        command = [sys.executable, "-m", "outrider_edge", "drafts", "update", "--channel", web.url]
        with subprocess.Popen([*command, *desk.flags], stdout=subprocess.DEVNULL) as updating:
            while web.sent < 400_000:
                assert updating.poll() is None
                web.closing.wait(0.05)
            updating.send_signal(number)
        assert updating.returncode == -number
    assert desk.ledger()["bytes_received"] > 200_000


def test_what_has_come_stays_whatever_is_looked_at_meanwhile(desk: Desk) -> None:
    half = desk.store.incoming(digest_of(SHIPPED_DRAFT))
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half of a file")
    desk.run("verify")
    desk.run("pin")
    desk.run("pin", "--off")
    assert half.read_bytes() == b"half of a file"


def test_a_rollback_is_told_to_the_cloud(desk: Desk, cloud_of: str) -> None:
    desk.flags += ["--cloud", cloud_of]
    desk.run("update", channel="cloud")
    desk.store.write(desk.store.pointer().commit())
    desk.run("rollback", channel="cloud")
    desk.run("update", channel="cloud")
    fleet = subprocess.run(
        [sys.executable, "-m", "outrider_cloud", "fleet", "--cloud", cloud_of, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = json.loads(fleet.stdout)["releases"]
    assert (row["reverted"], row["on_trial"]) == (1, 0)


@pytest.fixture
def cloud_of(desk: Desk) -> Iterator[str]:
    flags = ("--listen", "127.0.0.1:0", "--json")
    with process("releases", str(desk.signed.folder), *flags) as cloud:
        yield json.loads(announced(cloud))["address"]


def test_a_cloud_is_a_channel_too(desk: Desk, cloud_of: str) -> None:
    desk.flags += ["--cloud", cloud_of]
    assert "on trial" in desk.run("update", channel="cloud")
    assert desk.ledger()["bytes_received"] > 100_000
    assert "cannot" not in desk.run("update", "--no-report", channel="cloud")
    desk.run("update", "--local-only", channel="cloud", code=2)


def test_following_hears_news(desk: Desk, cloud_of: str) -> None:
    """Long before it would have looked again."""
    desk.signed.point(Line())
    where = ("--channel", "cloud", "--cloud", cloud_of, "--update-every-s", "30")
    even = ("--update-on-metered", "--update-on-battery")
    command = [sys.executable, "-m", "outrider_edge", "drafts", "follow", *where, *even]
    with subprocess.Popen([*command, *desk.flags], stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert "up to date" in follower.stdout.readline()
        began_s = time.monotonic()
        desk.signed.point(Line(stable=1))
        assert "on trial" in follower.stdout.readline()
        assert time.monotonic() - began_s < 20
        follower.send_signal(signal.SIGTERM)
        assert follower.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_follows_ends_when_told_in_the_middle_of_a_file(
    desk: Desk, number: signal.Signals
) -> None:
    """Which may take hours to come."""
    desk.signed.publish(Publication(number=2, file=SHIPPED_DRAFT), Line(stable=2))  # no delta
    with StaticWeb(desk.signed.folder, Manners(bytes_per_s=30_000.0)) as web:
        even = ("--update-on-metered", "--update-on-battery")
        where = ("--channel", web.url, *even, *desk.flags)
        command = [sys.executable, "-m", "outrider_edge", "drafts", "follow", *where]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as follower:
            while web.sent < 50_000:
                assert follower.poll() is None
                web.closing.wait(0.05)
            follower.send_signal(number)
            assert follower.wait(20) == 0
        assert web.sent < SHIPPED_DRAFT.stat().st_size
        assert desk.ledger()["bytes_received"] > 20_000


def test_who_follows_and_is_not_heard_ends_with_a_line(desk: Desk) -> None:
    where = ("--channel", str(desk.signed.folder), *desk.flags)
    command = [sys.executable, "-m", "outrider_edge", "drafts", "follow", *where]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
    assert ended.returncode == 4
    assert ended.stderr == "outrider: No space left on device\n"


def test_without_a_channel_there_is_nothing_to_do(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["drafts", "list", "--drafts", str(tmp_path)])
    assert result.exit_code == 2
    assert "no releases are followed" in result.output
