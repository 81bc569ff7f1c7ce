"""A file that is looked at often is read when it has changed, and else not."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from outrider_training.errors import ModelUnreadableError
from outrider_training.file_digest import FileDigest


def write(path: Path, data: bytes, time_ns: int) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(time_ns, time_ns))


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    digest, path = FileDigest(), tmp_path / "draft.gguf"
    write(path, b"one", 1)
    first = digest.of(path)
    assert first == sha256(b"one").hexdigest()
    write(path, b"two", 1)  # which nothing but reading could tell
    assert digest.of(path) == first
    write(path, b"two", 2)
    assert digest.of(path) == sha256(b"two").hexdigest()
    write(path, b"three", 2)
    assert digest.of(path) == sha256(b"three").hexdigest()


def test_another_file_is_read(tmp_path: Path) -> None:
    digest, one, two = FileDigest(), tmp_path / "one.gguf", tmp_path / "two.gguf"
    write(one, b"one", 1)
    write(two, b"two", 1)
    assert digest.of(one) != digest.of(two)
    os.replace(two, one)
    assert digest.of(one) == sha256(b"two").hexdigest()
    with pytest.raises(ModelUnreadableError, match=r"two\.gguf: No such file"):
        digest.of(two)
