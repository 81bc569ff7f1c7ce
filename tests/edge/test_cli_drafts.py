"""The commands `outrider drafts ...` on a folder of drafts, without any channel."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from outrider_edge.cli import app
from outrider_edge.releases.pointer import under
from outrider_edge.releases.store import DraftStore
from tests.simulators.gguf_files import TinyModel, write_gguf

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", TinyModel())


@pytest.fixture
def store(tmp_path: Path, factory: Path) -> DraftStore:
    return DraftStore(tmp_path / "drafts" / "demo", factory)


@pytest.fixture
def drafts(tmp_path: Path, factory: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command as a user who follows a channel that is not there."""
    for name in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("OUTRIDER_DRAFT", str(factory))
    monkeypatch.setenv("OUTRIDER_CHANNEL", str(tmp_path / "channel"))
    monkeypatch.setenv("OUTRIDER_ROOT", str(tmp_path / "root.json"))
    monkeypatch.setenv("OUTRIDER_DRAFTS", str(tmp_path / "drafts"))
    return lambda *arguments: CliRunner().invoke(app, ["drafts", *arguments])


def installed(store: DraftStore, folder: Path, content: bytes) -> str:
    (folder / "new").write_bytes(content)
    name = sha256(content).hexdigest()
    store.add(folder / "new", name)
    return name


@pytest.fixture
def names(store: DraftStore, tmp_path: Path) -> tuple[str, str]:
    """Release 7, kept after 5: the factory's draft under an adapter."""
    adapter = installed(store, tmp_path, b"an adapter")
    full = installed(store, tmp_path, b"a whole draft" * 100_000)
    laid = under(store.pointer().factory, adapter)
    pointer = store.pointer().begin_trial(laid, 5).commit()
    store.write(pointer.begin_trial(full, 7).commit())
    return laid, full


@pytest.mark.parametrize("columns", ["60", "80"])
def test_the_list_fits_on_a_line_a_draft(
    drafts: Run,
    store: DraftStore,
    names: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
) -> None:
    laid, full = names
    factory, adapter = laid.split("+")
    monkeypatch.setenv("COLUMNS", columns)
    lines = drafts("list").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["draft", "release", "role", "bytes"],
        [full[:12], "7", "active", "1,300,000"],
        [f"{factory[:12]}+{adapter[:12]}", "5", "previous", f"{_size(store, laid):,}"],
        [factory[:12], "-", "factory", f"{_size(store, factory):,}"],
    ]
    assert len({len(line) for line in lines}) == 1, "columns are straight"
    assert len(lines[0]) <= 60


def _size(store: DraftStore, name: str) -> int:
    file, adapter = store.paths(name)
    return file.stat().st_size + (0 if adapter is None else adapter.stat().st_size)


def test_the_list_as_an_object(drafts: Run, names: tuple[str, str]) -> None:
    laid, full = names
    drafts("pin")
    said = json.loads(drafts("list", "--json").stdout)
    assert (said["pinned"], said["refused"]) == (True, [])
    shown = [(draft["draft"], draft["release"], draft["role"]) for draft in said["drafts"]]
    factory = laid.split("+")[0]
    assert shown == [(full, 7, "active"), (laid, 5, "previous"), (factory, None, "factory")]
    assert drafts("list").stdout.splitlines()[-1] == "pinned: nothing new is installed"


def test_a_draft_is_named_by_number_or_as_it_is_shown(
    drafts: Run, store: DraftStore, names: tuple[str, str]
) -> None:
    laid, full = names
    factory, adapter = laid.split("+")
    shown = f"{factory[:12]}+{adapter[:12]}"
    assert drafts("pin", "5").stdout == f"pinned to release 5 ({shown})\n"
    assert drafts("pin", full[:6]).stdout == f"pinned to release 7 ({full[:12]})\n"
    assert drafts("pin", shown).stdout == f"pinned to release 5 ({shown})\n"
    assert (
        drafts("pin", factory[:12]).stdout == f"pinned to the draft it came with ({shown[:12]})\n"
    )
    assert store.pointer().active == factory


@pytest.mark.parametrize("given", ["6", "abc", "abcdef", "None", ""])
def test_what_is_no_draft_here(drafts: Run, names: tuple[str, str], given: str) -> None:
    done = drafts("pin", given)
    assert done.exit_code == 2
    assert "is no draft on this device" in done.stderr


def test_damage_is_one_object_and_an_exit_code(
    drafts: Run, store: DraftStore, names: tuple[str, str]
) -> None:
    laid, full = names
    assert json.loads(drafts("verify", "--json").stdout) == {"checked": 3, "damaged": []}
    store.path(full).write_bytes(b"damaged")
    done = drafts("verify", "--json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["damaged"], said["error"]["kind"]) == (4, [full], "StoreFailed")
    assert "in use now: release 5" in done.stderr
    assert store.pointer().active == laid
    assert drafts("verify").stdout == "2 checked, all are what they should be\n"


def test_without_a_channel_there_is_nothing_to_list(
    drafts: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OUTRIDER_CHANNEL")
    done = drafts("list")
    assert done.exit_code == 2
    assert done.stderr == (
        "outrider: no releases are followed: name a channel with --channel and --root\n"
    )


def test_following_never_is_refused(drafts: Run) -> None:
    done = drafts("follow", "--update-every-s", "0")
    assert done.exit_code == 2
    assert "update_every_s is 0" in done.stderr
