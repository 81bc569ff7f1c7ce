"""Settings come from four sources in order, and every mistake is named with its source."""

from pathlib import Path
from typing import TypedDict

import pytest
from pydantic import BaseModel, ConfigDict, Field

from outrider_protos.errors import SettingsError
from outrider_protos.settings import load


class _Sources(TypedDict, total=False):
    toml: str
    environ: dict[str, str]
    flags: dict[str, object]


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    target: str
    max_tokens: int = Field(default=64, ge=1)
    verbose: bool = False


def _load(
    folder: Path,
    *,
    toml: str | None = None,
    environ: dict[str, str] | None = None,
    flags: dict[str, object] | None = None,
) -> Options:
    file = None
    if toml is not None:
        file = folder / "options.toml"
        file.write_text(toml, encoding="utf-8")
    return load(Options, file=file, environ=environ or {}, prefix="APP_", flags=flags or {})


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    toml = 'target = "file"\nmax_tokens = 1\nverbose = true'
    environ = {"APP_TARGET": "environment", "APP_MAX_TOKENS": "2", "HOME": "/"}
    flags: dict[str, object] = {"target": "flag", "max_tokens": None, "verbose": None}
    found = _load(tmp_path, toml=toml, environ=environ, flags=flags)
    assert found == Options(target="flag", max_tokens=2, verbose=True)
    assert _load(tmp_path, flags={"target": "x"}).max_tokens == 64


@pytest.mark.parametrize(
    ("sources", "origin", "nearest"),
    [
        ({"toml": "max_token = 3"}, "options.toml, max_token", "max_tokens"),
        ({"environ": {"APP_MAX_TOKEN": "3"}}, "environment APP_MAX_TOKEN", "APP_MAX_TOKENS"),
        ({"flags": {"max_token": 3}}, "flag --max-token", "--max-tokens"),
    ],
)
def test_an_unknown_key_names_its_source_and_the_nearest_valid_one(
    tmp_path: Path, sources: _Sources, origin: str, nearest: str
) -> None:
    flags = {"target": "x"} | sources.get("flags", {})
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, toml=sources.get("toml"), environ=sources.get("environ"), flags=flags)
    assert len(caught.value.problems) == 1
    assert f"{origin}: unknown setting; did you mean {nearest}?" in caught.value.problems[0]


def test_a_key_like_no_other_gets_no_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^environment APP_QQ: unknown setting$"):
        _load(tmp_path, environ={"APP_QQ": "1"}, flags={"target": "x"})


def test_every_problem_is_one_line_with_its_source_and_without_the_value(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, toml="verbose = 'hidden'", environ={"APP_MAX_TOKENS": "0"})
    lines = str(caught.value)
    assert "environment APP_MAX_TOKENS: Input should be greater than or equal to 1" in lines
    assert f"file {tmp_path / 'options.toml'}, verbose: Input should be a valid boolean" in lines
    assert "target: missing; set it in the file, as APP_TARGET or by --target" in lines
    assert len(lines.splitlines()) == len(caught.value.problems) == 3
    assert "hidden" not in lines


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"target = ", "Invalid value"), (b"target = '\xff'", "is not UTF-8")],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=complaint) as caught:
        load(Options, file=file, environ={}, prefix="APP_", flags={})
    assert str(file) in caught.value.problems[0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "absent.toml"
    with pytest.raises(SettingsError, match=r"absent\.toml: No such file"):
        load(Options, file=file, environ={}, prefix="APP_", flags={})
