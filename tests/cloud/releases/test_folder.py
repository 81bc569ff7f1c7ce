"""Of a folder, what may be seen and nothing else; an open file stays what it was."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outrider_cloud.errors import AbsentError, BeyondEndError
from outrider_cloud.releases.folder import RepositoryFolder
from outrider_protos.errors import MalformedMessage

SECRET = b"not yours"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a secret beside it."""
    (tmp_path / "secret").write_bytes(SECRET)
    root = tmp_path / "repository"
    (root / "metadata").mkdir(parents=True)
    (root / "targets" / "main").mkdir(parents=True)
    (root / "secret").write_bytes(SECRET)
    (root / "metadata" / "timestamp.json").write_bytes(b"{}")
    (root / "metadata" / ".hidden").write_bytes(SECRET)
    (root / "targets" / "main" / "1.gguf").write_bytes(b"a draft")
    return root


def read(root: Path, path: str) -> bytes:
    return RepositoryFolder(root).read(path, 1000)


def test_metadata_and_targets_are_read(root: Path) -> None:
    assert read(root, "metadata/timestamp.json") == b"{}"
    assert read(root, "targets/main/1.gguf") == b"a draft"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "secret",
        "/etc/passwd",
        "metadata",
        "metadata/",
        "metadata//timestamp.json",
        "metadata/../secret",
        "metadata/..",
        "metadata/./timestamp.json",
        "metadata/.hidden",
        "metadata/a..b",
        "metadata/%2e%2e",
        "metadata/a b",
        "metadata/a\\b",
        "metadata/a\0b",
        "metadata/ä",
        "metadata/timestamp.json\n",
        "metadata/main/1.gguf",
        "targets/1.gguf",
        "targets/main/../main/1.gguf",
        "targets/../metadata/timestamp.json",
        "targets/main/deep/1.gguf",
        "Metadata/timestamp.json",
        "metadata/" + "a" * 256,
    ],
)
def test_other_paths_are_refused_before_the_disk_is_asked(root: Path, path: str) -> None:
    with pytest.raises(MalformedMessage):
        read(root, path)


@pytest.mark.parametrize("path", ["metadata/no", "targets/no/no", "targets/main/no"])
def test_what_is_not_there_is_absent(root: Path, path: str) -> None:
    with pytest.raises(AbsentError):
        read(root, path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.text(st.sampled_from("./metadatargsecret-\\"), max_size=40))
def test_no_path_leads_to_a_secret(root: Path, path: str) -> None:
    with suppress(MalformedMessage, AbsentError):
        assert read(root, path) != SECRET


def test_links_are_not_followed(root: Path) -> None:
    (root / "metadata" / "link").symlink_to(root.parent / "secret")
    (root / "targets" / "other").symlink_to(root.parent)
    for path in ("metadata/link", "targets/other/secret"):
        with pytest.raises(AbsentError):
            read(root, path)


def test_the_folder_itself_may_be_a_link(root: Path) -> None:
    (root.parent / "current").symlink_to(root)
    assert read(root.parent / "current", "targets/main/1.gguf") == b"a draft"


def test_only_plain_files_are_opened(root: Path) -> None:
    os.mkfifo(root / "metadata" / "pipe")
    for path in ("metadata/pipe", "targets/main/folder"):
        (root / "targets" / "main" / "folder").mkdir(exist_ok=True)
        with pytest.raises(AbsentError):
            read(root, path)


def test_a_file_replaced_while_it_is_read_stays_what_it_was(root: Path) -> None:
    path = root / "targets" / "main" / "1.gguf"
    file = RepositoryFolder(root).open("targets/main/1.gguf")
    try:
        (root / "new").write_bytes(b"another")
        os.replace(root / "new", path)
        assert file.read(0, 3) + file.read(3, 4) == b"a draft"
    finally:
        file.close()


def test_a_file_cut_while_it_is_read_is_said_so(root: Path) -> None:
    file = RepositoryFolder(root).open("targets/main/1.gguf")
    try:
        os.truncate(root / "targets" / "main" / "1.gguf", 2)
        with pytest.raises(BeyondEndError):
            file.read(0, 7)
    finally:
        file.close()


def test_a_long_file_is_not_read_whole(root: Path) -> None:
    with pytest.raises(BeyondEndError):
        RepositoryFolder(root).read("targets/main/1.gguf", 3)


def test_no_handle_is_left_open(root: Path) -> None:
    (root / "targets" / "main" / "f").mkdir()
    before = len(os.listdir("/dev/fd"))
    for path in ("targets/main/1.gguf", "targets/main/f", "targets/main/no", "targets/no/no"):
        for _ in range(5):
            with suppress(AbsentError):
                read(root, path)
    assert len(os.listdir("/dev/fd")) == before


def test_the_stamp_is_another_one_for_another_timestamp(root: Path) -> None:
    folder = RepositoryFolder(root)
    before = folder.stamp()
    assert folder.stamp() == before
    (root / "new").write_bytes(b"[]")
    os.replace(root / "new", root / "metadata" / "timestamp.json")
    assert folder.stamp() != before
    (root / "metadata" / "timestamp.json").unlink()
    assert folder.stamp() is None
