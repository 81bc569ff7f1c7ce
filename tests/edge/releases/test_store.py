"""The folder of drafts: files are whole, missing ones fallen back from, one process changes it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from outrider_edge.errors import BadModelFile, BadRelease, Busy, StoreFailed
from outrider_edge.releases.store import DraftStore, digest_of

_NOBODY = 65534


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    path = tmp_path / "factory.gguf"
    path.write_bytes(b"factory")
    return path


@pytest.fixture
def store(tmp_path: Path, factory: Path) -> DraftStore:
    return DraftStore(tmp_path / "drafts", factory)


def added(store: DraftStore, folder: Path, content: bytes) -> str:
    """A file of this content, taken in."""
    (folder / "new").write_bytes(content)
    name = sha256(content).hexdigest()
    store.add(folder / "new", name)
    return name


def test_a_new_device_drafts_with_what_it_came_with(store: DraftStore, factory: Path) -> None:
    """And nothing is written to find that out."""
    pointer = store.pointer()
    assert store.path(pointer.drafting) == factory
    assert pointer.kept == {digest_of(factory)}
    assert not list(factory.parent.glob("drafts"))


def test_a_program_may_come_with_another_draft(tmp_path: Path, factory: Path) -> None:
    """Of the same size too, while the process goes on."""
    names = []
    for content in (b"factory", b"another"):
        (tmp_path / "new").write_bytes(content)
        (tmp_path / "new").replace(factory)
        names.append(DraftStore(tmp_path / "drafts", factory).pointer().active)
    assert names == [sha256(b"factory").hexdigest(), sha256(b"another").hexdigest()]


def test_names_that_no_file_can_have_count_as_missing(store: DraftStore, tmp_path: Path) -> None:
    store.write(store.pointer())
    place = tmp_path / "drafts" / "pointer.json"
    found = json.loads(place.read_text()) | {"active": "a" * 5000, "previous": "b\x00"}
    place.write_text(json.dumps(found))
    assert store.pointer().active == store.pointer().factory


def test_a_draft_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match=r"a folder: cannot be read: Is a directory"):
        (tmp_path / "a folder").mkdir()
        DraftStore(tmp_path / "drafts", tmp_path / "a folder")
    with pytest.raises(BadModelFile, match=r"absent\.gguf: cannot be read"):
        DraftStore(tmp_path, tmp_path / "absent.gguf")


@contextmanager
def nobody() -> Iterator[None]:
    """To whom folders may be closed; root they never are."""
    mine = os.geteuid()
    os.seteuid(mine or _NOBODY)
    try:
        yield
    finally:
        os.seteuid(mine)


def test_drafts_that_the_disk_does_not_give_are_not_taken_for_none() -> None:
    """They would be removed as soon as it does."""
    with TemporaryDirectory() as place:
        folder, factory = Path(place), Path(place) / "factory.gguf"
        folder.chmod(0o777)
        factory.write_bytes(b"factory")
        store = DraftStore(folder / "drafts", factory)
        with nobody():
            name = added(store, folder, b"better")
            store.write(replace(store.pointer(), active=name))
            (folder / "drafts" / "files").chmod(0)
            with pytest.raises(StoreFailed, match="Permission denied"), store.changing():
                store.write(store.pointer())
            assert store.pointer().drafting == digest_of(factory)  # answers go on
            (folder / "drafts" / "files").chmod(0o700)
            assert store.pointer().drafting == name


def test_what_is_kept_stays_and_the_rest_goes(store: DraftStore, tmp_path: Path) -> None:
    names = [added(store, tmp_path, content) for content in (b"a", b"b", b"c")]
    pointer = store.pointer()
    for name in names:
        pointer = pointer.begin_trial(name).commit()
    store.write(pointer)
    assert store.pointer() == pointer
    assert not store.path(names[0]).exists()
    assert store.path(names[1]).read_bytes() == b"b"
    assert store.path(names[2]).read_bytes() == b"c"
    assert store.damaged() == []


def test_a_file_is_what_its_name_says(store: DraftStore, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"a")
    with pytest.raises(BadRelease, match="not the file that was promised"):
        store.add(tmp_path / "new", sha256(b"b").hexdigest())
    assert (tmp_path / "new").read_bytes() == b"a"
    name = added(store, tmp_path, b"a")
    store.write(store.pointer().begin_trial(name).commit())
    store.path(name).write_bytes(b"A")
    assert store.damaged() == [name]


def test_missing_files_are_fallen_back_from(
    store: DraftStore, tmp_path: Path, factory: Path
) -> None:
    first, second, third = (added(store, tmp_path, content) for content in (b"a", b"b", b"c"))
    pointer = store.pointer().begin_trial(first).commit().begin_trial(second).commit()
    store.write(pointer.begin_trial(third))
    store.path(third).unlink()
    assert store.pointer() == pointer
    store.path(second).unlink()
    assert (store.pointer().active, store.pointer().previous) == (first, None)
    store.path(first).unlink()
    assert store.path(store.pointer().active) == factory


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"factory": 1}', b"\xff", b"{}"])
def test_a_broken_pointer_counts_as_none(
    content: bytes, store: DraftStore, tmp_path: Path, factory: Path
) -> None:
    name = added(store, tmp_path, b"a")
    store.write(store.pointer().begin_trial(name).commit())
    (tmp_path / "drafts" / "pointer.json").write_bytes(content)
    assert store.path(store.pointer().active) == factory


def test_a_program_that_came_with_a_newer_draft_goes_on(
    store: DraftStore, tmp_path: Path, factory: Path
) -> None:
    """Whoever drafted with the old factory's now drafts with the new one's."""
    name = added(store, tmp_path, b"a")
    store.write(store.pointer().begin_trial(name).revert())
    factory.write_bytes(b"newer")
    newer = DraftStore(tmp_path / "drafts", factory)
    pointer = newer.pointer()
    assert newer.path(pointer.active) == factory
    assert pointer.factory == digest_of(factory)
    assert pointer.refused == (name,)


def test_one_process_at_a_time_changes_it(store: DraftStore, tmp_path: Path, factory: Path) -> None:
    script = (
        "import sys, pathlib; from outrider_edge.releases.store import DraftStore\n"
        "store = DraftStore(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "with store.changing():\n    print('mine', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "drafts"), str(factory)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(Busy, match="another process"), store.changing():
            pass
        other.kill()  # whoever dies gives the right back
    with store.changing():
        pass


def test_places_that_cannot_be_used_are_said(factory: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = DraftStore(tmp_path / "file", factory)
    assert store.path(store.pointer().active) == factory
    with pytest.raises(StoreFailed):
        store.write(store.pointer())
    with pytest.raises(StoreFailed), store.changing():
        pass
    with pytest.raises(StoreFailed, match="are needed"):
        DraftStore(tmp_path / "drafts", factory).check_room(1 << 60)


def test_what_is_written_can_be_read_by_people(store: DraftStore, tmp_path: Path) -> None:
    store.write(store.pointer().pin())
    kept = json.loads((tmp_path / "drafts" / "pointer.json").read_text())
    assert kept["pinned"] is True
    assert sorted(kept) == [
        "active",
        "factory",
        "numbers",
        "pinned",
        "previous",
        "refused",
        "trial",
    ]


def test_the_file_of_the_program_is_never_written(
    store: DraftStore, factory: Path, tmp_path: Path
) -> None:
    """It was upgraded while this process goes on, and its old bytes come as a release."""
    factory.write_bytes(b"upgraded")
    old = tmp_path / "old"
    old.write_bytes(b"factory")
    with pytest.raises(StoreFailed, match="has changed: start anew"):
        store.add(old, sha256(b"factory").hexdigest())
    assert factory.read_bytes() == b"upgraded"
