"""Reasons to wait with a download: the rule over values, and what this system says."""

from pathlib import Path

import pytest

from outrider_edge.releases.holds import Metered, Surroundings, is_metered, on_battery


@pytest.mark.parametrize("even_on_battery", [True, False])
@pytest.mark.parametrize("even_metered", [True, False])
@pytest.mark.parametrize("battery", [True, False])
@pytest.mark.parametrize("metered", [True, False])
def test_what_holds_updates_back(
    battery: bool, metered: bool, even_on_battery: bool, even_metered: bool
) -> None:
    reason = Surroundings(on_battery=battery, metered=metered).hold(
        even_metered=even_metered, even_on_battery=even_on_battery
    )
    if battery and not even_on_battery:
        assert reason == "this machine runs on battery"
    elif metered and not even_metered:
        assert reason == "the network is metered"
    else:
        assert reason is None


def test_this_machine_says_something() -> None:
    assert on_battery() in (True, False)
    assert is_metered() in (True, False)


@pytest.fixture
def nmcli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name; what it does is written by the test."""
    path = tmp_path / "nmcli"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return path


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "metered"),
    [
        ("yes", True),
        ("yes (guessed)", True),
        ("no", False),
        ("no (guessed)", False),
        ("unknown", False),
        ("", False),
        ("no\nGENERAL.METERED:yes", True),
    ],
)
def test_what_the_network_manager_says(nmcli: Path, said: str, metered: bool) -> None:
    write(nmcli, f"printf 'GENERAL.METERED:{said}\\n'")
    assert is_metered() is metered


def test_it_is_asked_in_english(nmcli: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    write(nmcli, 'if [ "$LC_ALL" = C ]; then echo GENERAL.METERED:yes; else echo x:ja; fi')
    assert is_metered()


@pytest.mark.parametrize(
    "script", ["exit 1", "printf '\\377\\376:'", "echo Error: not running >&2"]
)
def test_a_network_manager_that_does_not_know(nmcli: Path, script: str) -> None:
    write(nmcli, script)
    assert not is_metered()


def test_without_one_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_metered()
    (tmp_path / "nmcli").write_bytes(b"\0\0no program")
    (tmp_path / "nmcli").chmod(0o755)
    assert not is_metered()


def test_it_is_not_asked_where_a_person_has_said(nmcli: Path) -> None:
    write(nmcli, "echo GENERAL.METERED:yes")
    assert Surroundings.now(Metered.AUTO).metered
    assert not Surroundings.now(Metered.NO).metered
    write(nmcli, "echo GENERAL.METERED:no")
    assert not Surroundings.now(Metered.AUTO).metered
    assert Surroundings.now(Metered.YES).metered
