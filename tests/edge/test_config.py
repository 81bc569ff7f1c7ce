"""Settings of a device: where they come from, what they refuse, what they become."""

from pathlib import Path

import pytest

from outrider_edge.config import DeviceConfig, read_config
from outrider_edge.errors import BadSettings
from outrider_edge.options import Mode, Options
from outrider_edge.releases.holds import Metered
from outrider_edge.releases.settings import Following
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


RELEASES: dict[str, object] = {"channel": "https://drafts.example.com", "root": "root.json"}


def test_without_a_channel_no_releases_are_followed() -> None:
    config = read_config({"root": "root.json"}, None, {})
    assert config.following() is None
    assert config.update_settings() is None
    assert config.device_settings().following is None


def test_a_channel_needs_somebody_to_trust() -> None:
    said = problems({"channel": "cloud"})
    assert said == "a channel needs --root (root), the metadata that says whom to trust"


def test_what_is_followed_comes_from_flags_environment_and_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('channel = "cloud"\nroot = "~/root.json"\nrecent = 5\nmetered = "yes"\n')
    environ = {"OUTRIDER_CHANNEL": "/mnt/drafts", "OUTRIDER_DRAFTS": str(tmp_path)}
    flags: dict[str, object] = {"line": "chat", "update_on_battery": True, "report": False}
    following = read_config(flags, file, environ).following()
    assert following == Following(
        channel="/mnt/drafts",
        line="chat",
        root=Path.home() / "root.json",
        folder=tmp_path / "chat",
        recent=5,
        report=False,
        metered=Metered.YES,
        even_on_battery=True,
    )


def test_the_draft_that_is_named_is_the_one_to_fall_back_to() -> None:
    settings = read_config(RELEASES | {"draft": "mine.gguf"}, None, {}).update_settings()
    assert settings is not None
    assert settings.factory == Path("mine.gguf")
    assert settings.following.every_s == 3600.0


def test_an_unknown_key_of_releases_names_the_nearest() -> None:
    assert "did you mean OUTRIDER_CHANNEL?" in problems({}, {"OUTRIDER_CHANEL": "cloud"})
    assert "did you mean OUTRIDER_UPDATE_EVERY_S?" in problems({}, {"OUTRIDER_UPDATE_EVERY": "1"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("channel", ""),
        ("line", "../demo"),
        ("line", "Demo"),
        ("recent", -1),
        ("recent", 5000),
        ("update_every_s", -1.0),
        ("update_every_s", float("inf")),
        ("metered", "perhaps"),
    ],
)
def test_release_settings_that_cannot_be(key: str, value: object) -> None:
    assert problems(RELEASES | {key: value}).startswith(f"flag --{key.replace('_', '-')}: ")


def test_root_metadata_is_read_whole_or_refused_by_name(tmp_path: Path) -> None:
    root = tmp_path / "root.json"
    following = read_config(RELEASES | {"root": root}, None, {}).following()
    assert following is not None
    with pytest.raises(BadSettings, match=r"^the root metadata root\.json cannot be read$"):
        following.root_bytes()
    root.write_bytes(b"x" * 512_000)
    assert len(following.root_bytes()) == 512_000
    root.write_bytes(b"x" * 512_001)
    with pytest.raises(BadSettings, match=r"^root\.json is too large for root metadata$"):
        following.root_bytes()
