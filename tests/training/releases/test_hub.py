"""A repository in a model repository of the Hub, over real sockets."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from outrider_training.manifest import sha256_of
from outrider_training.releases.destination import TIMESTAMP_PATH
from outrider_training.releases.errors import (
    DestinationError,
    RepositoryBusyError,
    RepositoryMissingError,
)
from outrider_training.releases.hub import HubDestination
from outrider_training.releases.places import open_destination
from outrider_training.releases.repository import Change, Repository
from tests.simulators.hub import Hub
from tests.training.releases.scene import LINE, Scene, gate_report, learnt

# huggingface_hub hands files to its HTTP client in a way that has gone out of use there.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    with Hub().serving() as serving:
        yield serving


@pytest.fixture
def on_hub(hub: Hub, tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.destination = HubDestination(hub.name, endpoint=hub.endpoint)
    return made.begin()


def mirror(hub: Hub, folder: Path) -> None:
    """What a device would fetch, in a folder."""
    for name, data in hub.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def test_an_edition_is_one_commit(hub: Hub, on_hub: Scene, second: Path, tmp_path: Path) -> None:
    began = len(hub.commits)
    on_hub.publish(second, second.with_suffix(".json"))
    on_hub.roll_out(lambda state: state.promote())
    third = learnt(second, "third.gguf", 2)
    done = on_hub.publish(third, gate_report(tmp_path, third, second), percent=25)
    assert len(hub.commits) == began + 3
    assert set(hub.blobs) >= {sha256_of(second), sha256_of(third)}
    mirror(hub, on_hub.place)
    seen = on_hub.reader().look()
    assert (seen.line(LINE).next, seen.line(LINE).percent) == (2, 25)
    assert seen.file("demo/2.gguf") == third.read_bytes()
    assert "demo/2.from-1.delta" in done.sizes


def test_whoever_commits_second_is_refused(hub: Hub, on_hub: Scene, second: Path) -> None:
    on_hub.publish(second, second.with_suffix(".json"))
    other = Repository(HubDestination(hub.name, endpoint=hub.endpoint))
    with other.changing():
        seen = other.read(on_hub.hands.online)
        on_hub.roll_out(lambda state: state.stage(50))
        files = dict(hub.files)
        with pytest.raises(RepositoryBusyError):
            other.replace(seen, Change(releases=seen.roles.releases.signed), [on_hub.hands.online])
    assert hub.files == files


def test_what_the_hub_says_is_told_without_secrets(
    hub: Hub, on_hub: Scene, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuse_commits = 403
    with pytest.raises(DestinationError, match=r"^org/drafts: the Hub said 403$"):
        on_hub.publish(second, second.with_suffix(".json"))
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(DestinationError, match="the Hub said 401") as refused:
        on_hub.repository.look()
    assert "hf_wrong" not in str(refused.value)


def test_a_hub_that_does_not_answer_is_no_empty_repository(hub: Hub) -> None:
    """Else keys would be made for another repository in the same place."""
    empty = Repository(HubDestination(hub.name, endpoint=hub.endpoint))
    with pytest.raises(RepositoryMissingError):
        empty.look()
    hub.refuse_reads = 403
    with pytest.raises(DestinationError):
        empty.look()


@pytest.mark.parametrize("status", [403, 501])
def test_a_hub_that_fails_is_told_by_its_status(hub: Hub, status: int) -> None:
    hub.refuse_reads = status
    with pytest.raises(DestinationError, match=rf"root\.json: the Hub said {status}$"):
        Repository(HubDestination(hub.name, endpoint=hub.endpoint)).look()


def test_a_hub_that_is_not_there_cannot_be_reached() -> None:
    nowhere = HubDestination("org/drafts", endpoint="http://127.0.0.1:9")
    with pytest.raises(DestinationError, match=r"^org/drafts: the Hub cannot be reached$"):
        nowhere.changing().__enter__()


def show_keys(**environ: str) -> str:
    """What is complained of by `outrider-train keys show`."""
    words = (sys.executable, "-m", "outrider_training", "keys", "show")
    done = subprocess.run(
        (*words, "--repository", "hf://org/drafts"),
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_a_command_says_one_line_of_a_hub_that_fails(hub: Hub) -> None:
    """Whatever the library would say of it."""
    assert show_keys(HF_HUB_OFFLINE="1") == (
        "outrider-train: metadata/1.root.json: the Hub cannot be reached\n"
    )
    hub.refuse_reads = 503
    assert show_keys(HF_ENDPOINT=hub.endpoint) == (
        "outrider-train: metadata/1.root.json: the Hub said 503\n"
    )


def test_longer_files_than_expected_are_not_fetched(hub: Hub, on_hub: Scene) -> None:
    with pytest.raises(DestinationError, match="longer than 10 bytes"):
        on_hub.destination.read(TIMESTAMP_PATH, 10)
    assert on_hub.destination.read("metadata/nothing.json", 10) is None


def test_the_place_is_named_as_hub_users_name_it(on_hub: Scene) -> None:
    place = open_destination("hf://org/drafts@main")
    assert isinstance(place, HubDestination)
