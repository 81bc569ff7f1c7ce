"""Settings of a device: where they come from, what they refuse, what they become."""

from pathlib import Path

import pytest

from outrider_edge.config import DeviceConfig, read_config
from outrider_edge.errors import BadSettings
from outrider_edge.options import Mode, Options
from outrider_protos.errors import SettingsError


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def problems(flags: dict[str, object], environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        read_config(flags, None, environ or {})
    return str(caught.value)


def test_without_any_source_the_options_are_the_librarys() -> None:
    assert read_config({}, None, {}).options() == Options()


def test_flag_beats_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("span = 2\nwindow = 12\nwidth = 3\n")
    environ = {"OUTRIDER_SPAN": "3", "OUTRIDER_WINDOW": "13"}
    config = read_config({"span": 5}, file, environ)
    assert (config.span, config.window, config.width) == (5, 13, 3)


def test_the_file_at_home_is_read_unless_another_is_named(empty_home: Path) -> None:
    home = empty_home / "config" / "outrider" / "config.toml"
    home.parent.mkdir(parents=True)
    home.write_text("max_tokens = 7\n")
    other = empty_home / "other.toml"
    other.write_text("")
    assert read_config({}, None, {}).max_tokens == 7
    assert read_config({}, other, {}).max_tokens == Options().max_tokens


def test_settings_of_the_other_command_are_not_ours() -> None:
    assert read_config({}, None, {"OUTRIDER_CLOUD_LISTEN": "0.0.0.0:1"}) == DeviceConfig()


def test_an_unknown_key_names_the_nearest() -> None:
    assert "did you mean OUTRIDER_FALLBACK?" in problems({}, {"OUTRIDER_FALBACK": "1"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fallback", float("nan")),
        ("fallback", 1.5),
        ("rollback", float("nan")),
        ("rollback", float("inf")),
        ("temperature", -1.0),
        ("temperature", 1e-9),
        ("top_p", 0.0),
        ("patience", "soon"),
        ("patience", "nan"),
        ("patience", "-1"),
        ("patience", "1e13"),
        ("span", 0),
        ("seed", 1 << 64),
        ("cloud", "nowhere"),
        ("cloud", "host:0"),
        ("mode", "best"),
    ],
)
def test_values_that_cannot_be_are_refused_with_their_source(key: str, value: object) -> None:
    assert problems({key: value}).startswith(f"flag --{key.replace('_', '-')}: ")


def test_patience_is_milliseconds_or_infinite() -> None:
    assert read_config({"patience": "infinite"}, None, {}).options().patience_ms is None
    assert read_config({"patience": "0"}, None, {}).options().patience_ms == 0


def test_local_only_makes_the_mode_local_and_contradicts_any_other() -> None:
    assert read_config({"local_only": True}, None, {}).chosen_mode is Mode.LOCAL
    assert "can only be local" in problems({"local_only": True, "mode": Mode.EXACT})
    with pytest.raises(BadSettings, match="contradict"):
        read_config({"local_only": True, "cloud": "127.0.0.1:1"}, None, {})


def test_beyond_loopback_a_ca_is_needed(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="needs a CA"):
        read_config({"cloud": "192.0.2.1:50051"}, None, {}).device_settings()
    flags: dict[str, object] = {"cloud": "192.0.2.1:50051", "ca": tmp_path / "ca.pem"}
    address = read_config(flags, None, {}).device_settings().cloud
    assert address is not None
    assert address.ca == tmp_path / "ca.pem"


def test_the_token_comes_from_a_file_that_holds_one(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret-1\n")
    address = read_config({"token_file": file}, None, {}).device_settings().cloud
    assert address is not None
    assert address.token == "secret-1"
    for broken in (b"", b"two words", b"\xff", b"x" * 5000):
        file.write_bytes(broken)
        with pytest.raises(BadSettings, match="token file token"):
            read_config({"token_file": file}, None, {}).device_settings()
    with pytest.raises(BadSettings, match="cannot be read"):
        read_config({"token_file": tmp_path / "none"}, None, {}).device_settings()
