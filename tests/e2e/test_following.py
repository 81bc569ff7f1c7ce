"""A device that follows releases, at work: drafts come and go, answers stay."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from outrider_edge.client import Address
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device, DeviceSettings
from outrider_edge.errors import BadSettings
from outrider_edge.ledger import Ledger, Meter
from outrider_edge.options import Mode, Options
from outrider_edge.releases.settings import Following, UpdateSettings
from outrider_edge.releases.step import State, Step
from outrider_edge.releases.store import DraftStore, digest_of
from outrider_edge.updates import Updates
from outrider_protos.release import Line
from tests.e2e.pair import prompts
from tests.simulators.drafts import spoiled
from tests.simulators.gguf_files import TinyModel, write_gguf
from tests.simulators.signed_channel import Publication, SignedChannel

QUESTIONS = prompts("english", "python", "arithmetic", count=8)


class Scene:
    """A channel, and a device that came with a draft."""

    def __init__(self, folder: Path, cloud: str, factory: Path) -> None:
        self.signed = SignedChannel(folder / "channel")
        root = folder / "root.json"
        root.write_bytes(self.signed.root_bytes)
        self.following = Following(
            channel=str(self.signed.folder),
            line=self.signed.name,
            root=root,
            folder=folder / "drafts" / self.signed.name,
        )
        self.settings = DeviceSettings(
            draft=factory, cloud=Address(target=cloud), following=self.following
        )
        updating = UpdateSettings(
            following=self.following, factory=factory, cloud=None, local_only=False, threads=1
        )
        self.updates = Updates(updating, Meter(), Ledger(None))
        self.store = DraftStore(self.following.folder, factory)

    def step(self) -> Step:
        step = self.updates.step(lambda phase: None, lambda there, of: None)
        return self.step() if step.again else step


def ask(device: Device, questions: list[str]) -> list[tuple[str, int]]:
    """Texts, and tokens that the draft had right."""
    found = []
    with device.session() as session:
        for question in questions:
            session.messages.clear()
            result = session.ask(question).result()
            found.append((result.text, result.tally.by_draft))
    return found


def texts(found: list[tuple[str, int]]) -> list[str]:
    return [text for text, _ in found]


def test_a_better_draft_comes_while_it_is_used(cloud: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, cloud, spoiled(tmp_path / "weak.gguf", 1.0))
    scene.signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    with Device(scene.settings) as device, device.session() as old:
        before = ask(device, QUESTIONS)
        running = old.ask(QUESTIONS[0])
        assert scene.step().state is State.ON_TRIAL
        assert running.result().text == before[0][0]
        after = ask(device, QUESTIONS)
        assert texts(before) == texts(after)
        assert sum(right for _, right in after) > 1.2 * sum(right for _, right in before)
        assert scene.step().state is State.COMMITTED
        assert texts(ask(device, QUESTIONS[:2])) == texts(after[:2])
    assert scene.store.pointer().active == digest_of(SHIPPED_DRAFT)
    with Device(scene.settings) as device:  # the next process begins with it
        assert texts(ask(device, QUESTIONS[:2])) == texts(after[:2])


def test_a_sabotaged_draft_goes_by_itself(cloud: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, cloud, SHIPPED_DRAFT)
    bad = spoiled(tmp_path / "bad.gguf", 1.0)
    scene.signed.publish(Publication(number=1, file=bad), Line(stable=1))
    assert scene.step().state is State.ON_TRIAL
    with Device(scene.settings) as device:
        assert scene.store.pointer().drafting == digest_of(bad)
        during = ask(device, QUESTIONS)
        assert scene.step().state is State.UP_TO_DATE  # taken back, and not wanted again
        after = ask(device, QUESTIONS)
    assert texts(during) == texts(after)
    assert scene.store.pointer().refused == (digest_of(bad),)
    assert sum(right for _, right in after) > sum(right for _, right in during)


def test_a_device_starts_whatever_happened_to_its_files(cloud: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, cloud, spoiled(tmp_path / "weak.gguf", 1.0))
    scene.signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    scene.step()
    scene.store.write(scene.store.pointer().commit())
    installed = scene.store.path(digest_of(SHIPPED_DRAFT))
    for damage in (b"", b"GGUF", installed.read_bytes()[:1000]):
        installed.write_bytes(damage)
        with Device(scene.settings) as device:
            assert ask(device, QUESTIONS[:1])[0][0]
    (scene.following.folder / "pointer.json").write_bytes(b"\x00" * 100)
    with Device(scene.settings) as device:
        assert ask(device, QUESTIONS[:1])[0][0]


def test_a_device_follows_in_the_background(cloud: str, tmp_path: Path) -> None:
    """Nobody steps but its own thread, while answers are written."""
    scene = Scene(tmp_path, cloud, spoiled(tmp_path / "weak.gguf", 1.0))
    scene.signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    following = replace(scene.following, every_s=1.0, even_on_battery=True, even_metered=True)
    told: list[str] = []
    with Device(replace(scene.settings, following=following)) as device:
        device.follow_releases(told.append)
        deadline_s = time.monotonic() + 120
        while not any("is kept" in text for text in told):
            assert time.monotonic() < deadline_s, told
            ask(device, QUESTIONS[:4])
    assert scene.store.pointer().active == digest_of(SHIPPED_DRAFT)


def test_an_adapter_of_ones_own_and_a_channel_do_not_mix(cloud: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, cloud, SHIPPED_DRAFT)
    with pytest.raises(BadSettings, match="do not go together"):
        DeviceSettings(draft=SHIPPED_DRAFT, adapter=tmp_path / "a.gguf", following=scene.following)


def test_a_release_comes_as_an_adapter_where_that_is_smallest(
    cloud: str, noise: Path, tmp_path: Path
) -> None:
    """It is laid over the draft that is there, and taken off again when it does worse."""
    scene = Scene(tmp_path, cloud, SHIPPED_DRAFT)
    merged = spoiled(tmp_path / "merged.gguf", 1.0)
    wish = Publication(number=1, file=merged, adapter=noise, adapter_base=SHIPPED_DRAFT)
    scene.signed.publish(wish, Line(stable=1))
    assert scene.step().state is State.ON_TRIAL
    laid = f"{digest_of(SHIPPED_DRAFT)}+{digest_of(noise)}"
    assert scene.store.pointer().drafting == laid
    assert not scene.store.path(digest_of(merged)).exists()
    with Device(scene.settings) as device:
        during = ask(device, QUESTIONS)
        assert scene.step().state is State.UP_TO_DATE
        after = ask(device, QUESTIONS)
    assert texts(during) == texts(after)
    assert set(scene.store.pointer().refused) == {laid}
    assert sum(right for _, right in after) > sum(right for _, right in during)


def test_where_the_draft_writes_only_a_proven_one_does(cloud: str, tmp_path: Path) -> None:
    """In local mode a text is the draft's own: one on trial has no say in it."""
    scene = Scene(tmp_path, cloud, SHIPPED_DRAFT)
    local = Options(mode=Mode.LOCAL, max_tokens=24)
    with Device(scene.settings) as device, device.session(local) as session:
        before = session.ask(QUESTIONS[0]).result().text
    bad = spoiled(tmp_path / "bad.gguf", 1.0)
    scene.signed.publish(Publication(number=1, file=bad), Line(stable=1))
    assert scene.step().state is State.ON_TRIAL
    with Device(scene.settings) as device:
        exact = ask(device, QUESTIONS[:1])
        with device.session(local) as session:
            assert session.ask(QUESTIONS[0]).result().text == before
        assert texts(ask(device, QUESTIONS[:1])) == texts(exact)


def test_a_release_of_another_vocabulary_does_not_stand_in_the_way(
    cloud: str, tmp_path: Path
) -> None:
    """It was installed for another draft; the one that the user names now is what counts."""
    tiny = write_gguf(tmp_path / "tiny.gguf", TinyModel())
    other = Scene(tmp_path, cloud, tiny)
    new = write_gguf(tmp_path / "new.gguf", TinyModel(seed=1))
    other.signed.publish(Publication(number=1, file=new), Line(stable=1))
    other.step()
    other.store.write(other.store.pointer().commit())
    with Device(replace(other.settings, draft=SHIPPED_DRAFT)) as device:
        assert ask(device, QUESTIONS[:1])[0][0]


def test_only_answers_that_were_begun_count_against_a_draft(cloud: str, tmp_path: Path) -> None:
    """A device that is killed while nobody asks anything says nothing about its draft."""
    scene = Scene(tmp_path, cloud, spoiled(tmp_path / "weak.gguf", 1.0))
    scene.signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    scene.step()
    starts = scene.following.folder / "starts"
    with Device(scene.settings) as device:
        assert ask(device, QUESTIONS[:1])[0][0]
        assert not list(starts.glob("*"))
        with device.session(Options(max_tokens=200)) as session:
            answer = session.ask(QUESTIONS[1])
            assert len(list(starts.glob("*"))) == 1
            answer.result()
        assert not list(starts.glob("*"))


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ((signal.SIGTERM,), -signal.SIGTERM),
        ((signal.SIGHUP, signal.SIGTERM), -signal.SIGHUP),
    ],
)
def test_who_is_told_to_end_blames_no_draft(
    cloud: str, tmp_path: Path, numbers: tuple[signal.Signals, ...], code: int
) -> None:
    """A service that is stopped and a terminal that is closed, in the middle of an answer."""
    scene = Scene(tmp_path, cloud, spoiled(tmp_path / "weak.gguf", 1.0))
    scene.signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    scene.step()
    starts, following = scene.following.folder / "starts", scene.following
    told = {
        "OUTRIDER_CLOUD": cloud,
        "OUTRIDER_DRAFT": str(scene.settings.draft),
        "OUTRIDER_CHANNEL": following.channel,
        "OUTRIDER_LINE": following.line,
        "OUTRIDER_ROOT": str(following.root),
        "OUTRIDER_DRAFTS": str(following.folder.parent),
    }
    command = [sys.executable, "-m", "outrider_edge", "complete", "--max-tokens", "2000", "--raw"]
    with subprocess.Popen(
        [*command, "Count: 1 2 3"],
        env=os.environ | told,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        deadline_s = time.monotonic() + 60
        while not list(starts.glob("*")):
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
        for number in numbers:
            running.send_signal(number)
        complained = running.communicate(timeout=60)[1]
    assert running.returncode == code, complained
    assert "Traceback" not in complained
    assert not list(starts.glob("*"))
