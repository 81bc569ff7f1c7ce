"""`outrider demo` on the shipped pair: a real cloud process, four modes, figures."""

import json
from collections.abc import Mapping

import pytest
from typer.testing import CliRunner

from outrider_edge.cli import app

KEYS = {
    "accuracy",
    "tokens_per_s",
    "acceptance",
    "target_passes_per_token",
    "bytes_per_token",
}


@pytest.fixture(scope="module")
def said() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    done = CliRunner().invoke(app, ["demo", "--json", "--tasks", "1"])
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    found: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(line)
    return found


def test_every_mode_has_every_figure(said: Mapping[str, Mapping[str, object]]) -> None:
    assert set(said) == {"modes", "exact_mismatches", "near_ties"}
    modes = said["modes"]
    assert set(modes) == {"exact", "big_little", "local", "cloud"}
    for figures in modes.values():
        assert isinstance(figures, dict)
        assert set(figures) == KEYS


def test_exact_mode_is_exact_and_saves_passes(
    said: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> None:
    assert said["exact_mismatches"] == said["near_ties"]
    exact, cloud = said["modes"]["exact"], said["modes"]["cloud"]
    assert exact["target_passes_per_token"] < 0.6
    assert cloud["target_passes_per_token"] == 1
    assert exact["accuracy"] == cloud["accuracy"]
    assert exact["acceptance"] == cloud["acceptance"]


def test_local_mode_sends_nothing(said: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    local = said["modes"]["local"]
    assert (local["bytes_per_token"], local["target_passes_per_token"]) == (0, 0)
    assert local["tokens_per_s"] > 0


def test_acceptance_is_where_the_pair_was_made_for(
    said: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> None:
    for mode in said["modes"].values():
        assert 0.6 <= mode["acceptance"] <= 1.0
