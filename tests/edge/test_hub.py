"""A first model from a hub: the right bytes or none, and none of them twice."""

from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outrider_edge.errors import (
    BadInput,
    BadRelease,
    BadSettings,
    Busy,
    ChannelUnavailable,
    EdgeError,
    NotOffered,
    StoreFailed,
)
from outrider_edge.hub import HubFile, fetch
from outrider_edge.ledger import Meter
from outrider_edge.pools import Timeouts
from outrider_edge.web import Web
from tests.simulators.download_hub import Hub
from tests.simulators.gguf_files import TinyModel, write_gguf
from tests.simulators.static_web import Manners

FILE = HubFile("org/repo", "model.gguf", "main")
FRONT = "/org/repo/resolve/main/model.gguf"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", TinyModel()).read_bytes()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"{hub.endpoint}/")
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield hub


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "model.gguf"


def pull(target: Path, file: HubFile = FILE) -> list[tuple[int, int]]:
    """What was told of it."""
    told: list[tuple[int, int]] = []
    timeouts = Timeouts(connect_s=2.0, answer_s=0.5)
    with closing(Web(Meter(), local_only=False, timeouts=timeouts)) as web:
        fetch(file, target, web, lambda there, of: told.append((there, of)))
    return told


def left(target: Path) -> list[str]:
    """What lies there, whole or not."""
    return sorted(path.name for path in target.parent.glob("*"))


def partial_of(target: Path, data: bytes) -> Path:
    return target.with_name(f"{target.name}.{sha256(data).hexdigest()[:16]}.partial")


@pytest.mark.parametrize("large", [True, False])
def test_a_file_comes_whole_and_nothing_else_is_left(
    hub: Hub, target: Path, model: bytes, large: bool
) -> None:
    hub.publish("org/repo", "model.gguf", model, large=large)
    told = pull(target)
    assert target.read_bytes() == model
    assert left(target) == ["model.gguf"]
    assert told[0] == (0, len(model))
    assert told[-1] == (len(model), len(model))


def test_the_token_goes_to_the_hub_and_not_to_where_it_sends_us(
    hub: Hub, target: Path, model: bytes
) -> None:
    hub.publish("org/repo", "model.gguf", model)
    pull(target)
    assert {asked.fields["authorization"] for asked in hub.front.asked} == {"Bearer hf_secret"}
    assert hub.store.asked
    assert not any("authorization" in asked.fields for asked in hub.store.asked)


def test_the_bytes_are_of_one_revision(hub: Hub, target: Path, model: bytes) -> None:
    """The branch may move on between the question and the answer."""
    hub.publish("org/repo", "model.gguf", model)
    pull(target)
    assert [asked.path == FRONT for asked in hub.front.asked] == [True, False]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.data())
def test_after_any_breaks_no_byte_is_fetched_twice(
    hub: Hub, target: Path, model: bytes, data: st.DataObject
) -> None:
    target.unlink(missing_ok=True)
    place = hub.publish("org/repo", "model.gguf", model)
    hub.store.bodies.clear()
    breaks = data.draw(st.lists(st.integers(0, len(model) // 2), max_size=4))
    for bytes_ in breaks:
        hub.store.towards[place] = Manners(break_after=bytes_)
        with suppress(ChannelUnavailable):
            pull(target)
    hub.store.towards.clear()
    pull(target)
    assert target.read_bytes() == model
    assert hub.store.bodies[place] == len(model)


def test_a_break_says_that_what_came_stays(hub: Hub, target: Path, model: bytes) -> None:
    place = hub.publish("org/repo", "model.gguf", model)
    hub.store.towards[place] = Manners(break_after=1000)
    with pytest.raises(ChannelUnavailable, match="what has come stays, so try again"):
        pull(target)
    assert partial_of(target, model).read_bytes() == model[:1000]


def test_what_is_there_already_is_not_fetched(hub: Hub, target: Path, model: bytes) -> None:
    place = hub.publish("org/repo", "model.gguf", model)
    pull(target)
    assert pull(target) == [(len(model), len(model))]
    assert hub.store.bodies[place] == len(model)
    target.write_bytes(bytes(len(model)))
    pull(target)
    assert target.read_bytes() == model


def test_a_newer_file_begins_anew_and_the_older_ones_rest_goes(
    hub: Hub, target: Path, model: bytes
) -> None:
    place = hub.publish("org/repo", "model.gguf", model + b"older")
    hub.store.towards[place] = Manners(break_after=1000)
    with pytest.raises(ChannelUnavailable):
        pull(target)
    newer = hub.publish("org/repo", "model.gguf", model)
    hub.store.towards[newer] = Manners(break_after=2000)
    with pytest.raises(ChannelUnavailable):
        pull(target)
    assert left(target) == [partial_of(target, model).name]
    hub.store.towards.clear()
    pull(target)
    assert target.read_bytes() == model


@pytest.mark.parametrize("large", [True, False])
def test_other_bytes_than_announced_are_thrown_away(
    hub: Hub, target: Path, model: bytes, large: bool
) -> None:
    place = hub.publish("org/repo", "model.gguf", model, large=large)
    server = hub.store if large else hub.front
    (server.folder / place[1:]).write_bytes(model[:-1] + b"\x55")
    with pytest.raises(BadRelease, match=r"model\.gguf is not what the hub announced"):
        pull(target)
    assert left(target) == []


def test_a_partial_file_that_is_too_long_is_begun_anew(
    hub: Hub, target: Path, model: bytes
) -> None:
    hub.publish("org/repo", "model.gguf", model)
    target.parent.mkdir()
    partial_of(target, model).write_bytes(bytes(len(model) + 1))
    pull(target)
    assert target.read_bytes() == model


@pytest.mark.parametrize("data", [b"", b"no model", b"GGUF\x03\0\0\0"])
def test_what_is_no_model_is_not_kept(hub: Hub, target: Path, data: bytes) -> None:
    hub.publish("org/repo", "model.gguf", data)
    with pytest.raises(BadInput, match=r"^model\.gguf: is (empty|not a GGUF file|cut short)"):
        pull(target)
    assert left(target) == []


def test_room_is_looked_for_before_the_first_byte(hub: Hub, target: Path, model: bytes) -> None:
    place = hub.publish("org/repo", "model.gguf", model)
    towards = hub.front.towards[FRONT]
    huge = {**towards.fields, "X-Linked-Size": str(10**15)}
    hub.front.towards[FRONT] = Manners(status=302, fields=huge)
    with pytest.raises(StoreFailed, match="bytes left, 1,000,000,000,000,000 are needed"):
        pull(target)
    assert hub.store.bodies[place] == 0
    assert left(target) == []


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, NotOffered, r"does not give org/repo/model\.gguf \(401\).*may HF_TOKEN have it"),
        (403, NotOffered, r"\(403\)"),
        (404, NotOffered, r"\(404\)"),
        (429, ChannelUnavailable, r"says 429 to org/repo/model\.gguf: try again later"),
        (503, ChannelUnavailable, "says 503"),
    ],
)
def test_what_a_hub_says_instead(
    hub: Hub, target: Path, status: int, kind: type[EdgeError], said: str
) -> None:
    hub.front.manners = Manners(status=status)
    with pytest.raises(kind, match=said) as caught:
        pull(target)
    assert "hf_secret" not in str(caught.value)
    assert not target.parent.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"X-Linked-Etag": '"abc"', "X-Linked-Size": "5"},
        {"X-Linked-Etag": f'"{"a" * 64}"', "X-Linked-Size": "-5"},
        {"X-Linked-Etag": f'"{"a" * 64}"', "X-Linked-Size": "9" * 5000},
        {"X-Linked-Etag": f'"{"a" * 64}"'},  # the length of the redirect is not the file's
    ],
)
def test_a_hub_that_does_not_say_what_a_file_is(
    hub: Hub, target: Path, fields: dict[str, str]
) -> None:
    hub.front.manners = Manners(status=302, fields={**fields, "Location": hub.store.url})
    with pytest.raises(ChannelUnavailable, match="does not say what"):
        pull(target)


def test_a_renamed_repository_is_followed_within_the_hub(
    hub: Hub, target: Path, model: bytes
) -> None:
    hub.publish("new/name", "model.gguf", model)
    for asked, target_path in [(FRONT, "/new/name/resolve/main/model.gguf")]:
        hub.front.towards[asked] = Manners(status=307, fields={"Location": target_path})
    commit = hub.front.towards["/new/name/resolve/main/model.gguf"].fields["X-Repo-Commit"]
    at_commit = f"resolve/{commit}/model.gguf"
    moved = Manners(status=307, fields={"Location": f"/new/name/{at_commit}"})
    hub.front.towards[f"/org/repo/{at_commit}"] = moved
    pull(target)
    assert target.read_bytes() == model
    hub.front.towards[FRONT] = Manners(status=307, fields={"Location": FRONT})
    with pytest.raises(ChannelUnavailable, match="without end"):
        pull(target)


def test_two_at_once_do_not_write_one_file(hub: Hub, target: Path, model: bytes) -> None:
    place = hub.publish("org/repo", "model.gguf", model)
    busy: list[str] = []

    def told(there: int, of: int) -> None:
        """In the middle of the first."""
        if not busy:
            with pytest.raises(Busy, match="another process is fetching this file") as caught:
                pull(target)
            busy.append(str(caught.value))

    with closing(Web(Meter(), local_only=False)) as web:
        fetch(FILE, target, web, told)
    assert busy
    assert target.read_bytes() == model
    assert hub.store.bodies[place] == len(model)


@pytest.mark.parametrize(
    "text",
    [
        "org/repo/model.gguf",
        "hf:repo/model.gguf",
        "hf:org/repo/model.bin",
        "hf:org/repo//etc/model.gguf",
        "hf:org/repo/../../model.gguf",
        "hf:org/repo/./model.gguf",
        "hf:../repo/model.gguf",
        "hf:org/-repo/model.gguf",
        "hf:o g/repo/model.gguf",
        "hf:org/repo/model\0.gguf",
        "hf:org/repo/a\n.gguf",
        "hf:org/repo/model.gguf@",
        "",
    ],
)
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(BadInput):
        HubFile.parse(text)


def test_a_name_has_folders_and_a_revision(tmp_path: Path) -> None:
    file = HubFile.parse("hf:org/repo.x/Q4/a..b.GGUF@refs/pr/1")
    assert file == HubFile("org/repo.x", "Q4/a..b.GGUF", "refs/pr/1")
    assert file.place(tmp_path) == tmp_path / "org" / "repo.x" / "Q4" / "a..b.GGUF"


@pytest.mark.parametrize("token", ["two words", "gehe\u00efm", "a\x07b"])
def test_a_token_that_is_none_is_not_repeated(
    hub: Hub, target: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(BadSettings, match=r"^HF_TOKEN does not hold one token$"):
        pull(target)
    assert not hub.front.asked


def test_an_endpoint_beyond_this_machine_needs_https(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.invalid")
    with pytest.raises(BadSettings, match="only https goes there"):
        pull(target)


def test_a_folder_that_cannot_be_written(hub: Hub, tmp_path: Path, model: bytes) -> None:
    hub.publish("org/repo", "model.gguf", model)
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailed, match=r"^model\.gguf: ") as caught:
        pull(tmp_path / "file" / "model.gguf")
    assert str(tmp_path) not in str(caught.value)
