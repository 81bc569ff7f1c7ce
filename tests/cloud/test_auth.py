"""The token file, and which addresses are this machine alone."""

from pathlib import Path

import pytest

from outrider_cloud.address import Address
from outrider_cloud.auth import TokenBook
from outrider_cloud.errors import ConfigError


def book(tmp_path: Path, text: str) -> TokenBook:
    path = tmp_path / "tokens"
    path.write_text(text, encoding="utf-8")
    return TokenBook.read(path)


def test_a_token_belongs_to_the_name_before_it(tmp_path: Path) -> None:
    tokens = book(tmp_path, "# who\nanna  one\n\n  bert two  \n")
    assert [tokens.owner(token) for token in ("one", "two")] == ["anna", "bert"]


def test_one_owner_may_have_two_tokens(tmp_path: Path) -> None:
    tokens = book(tmp_path, "anna old\nanna new\n")
    assert {tokens.owner("old"), tokens.owner("new")} == {"anna"}


@pytest.mark.parametrize("token", ["", "on", "onee", "ONE", "anna one", "# who"])
def test_other_tokens_belong_to_nobody(tmp_path: Path, token: str) -> None:
    assert book(tmp_path, "# who\nanna one\n").owner(token) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("anna\n", "line 1"),
        ("anna one\nbert two three\n", "line 2"),
        ("anna one\nbert one\n", "line 2"),
        ("# nobody\n\n", "no token"),
        ("", "no token"),
    ],
)
def test_a_wrong_token_file_is_refused_without_showing_a_token(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        book(tmp_path, text)
    assert not any(word in str(refused.value).split() for word in ("one", "two", "three"))


def test_a_token_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_bytes(b"anna \xff\xfe\n")
    with pytest.raises(ConfigError, match="cannot read"):
        TokenBook.read(tmp_path / "tokens")


@pytest.mark.parametrize("text", ["127.0.0.1:0", "localhost:50051", "[::1]:1", "127.9.9.9:65535"])
def test_loopback_is_known(text: str) -> None:
    address = Address.parse(text)
    assert address.is_loopback
    assert str(address) == text


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1", "local:1"])
def test_everything_else_is_outside(text: str) -> None:
    assert not Address.parse(text).is_loopback


@pytest.mark.parametrize(
    "text", ["", "localhost", ":1", "localhost:", "localhost:x", "::1:50051", "a:65536", "a:-1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets"):
        Address.parse(text)
