"""The command `outrider` with the shipped pair and a real cloud."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from outrider_edge.cli import app
from tests.e2e.pair import prompts
from tests.simulators.gguf_files import TinyModel, write_gguf
from tests.simulators.relay import Relay

Run = Callable[..., Result]
QUESTION = prompts("python", count=1)[0]


@pytest.fixture
def environment(cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OUTRIDER_CLOUD", cloud)


@pytest.fixture
def outrider(environment: None) -> Run:
    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=stdin)

    return run


def test_exact_and_cloud_mode_say_the_same_and_exact_asks_less(outrider: Run) -> None:
    exact = json.loads(outrider("complete", QUESTION, "--json").stdout)
    cloud = json.loads(outrider("complete", QUESTION, "--json", "--mode", "cloud").stdout)
    assert exact["text"] == cloud["text"] == outrider("complete", QUESTION).stdout[:-1]
    assert exact["target_passes"] < cloud["target_passes"] == cloud["tokens"]
    assert exact["tokens_by_origin"]["draft"] > 0
    assert cloud["tokens_by_origin"] == {"target": cloud["tokens"]}


def test_big_little_leaves_nothing_provisional(outrider: Run) -> None:
    said = json.loads(outrider("complete", QUESTION, "--json", "--mode", "big-little").stdout)
    assert set(said["tokens_by_origin"]) <= {"draft", "target"}
    assert said["finish_reason"] == "end_token"
    assert said["unverified_text"] == ""


def test_the_ledger_tells_what_left_by_mode(outrider: Run) -> None:
    said = json.loads(outrider("complete", QUESTION, "--json").stdout)
    outrider("complete", QUESTION, "--local-only")
    exact, local = json.loads(outrider("ledger", "--json").stdout)["modes"]
    assert (exact["mode"], exact["bytes_sent"]) == ("exact", said["bytes_sent"])
    assert (local["mode"], local["bytes_sent"], local["bytes_received"]) == ("local", 0, 0)


def test_chat_changes_modes_within_one_conversation(outrider: Run) -> None:
    stdin = f"{QUESTION}\n/mode local\n{QUESTION}\n"
    done = outrider("chat", "--json", stdin=stdin)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["mode"], second["mode"]) == ("exact", "local")
    assert second["prompt_tokens"] > 2 * first["prompt_tokens"]


def test_a_draft_of_another_vocabulary_is_refused(outrider: Run, tmp_path: Path) -> None:
    other = write_gguf(tmp_path / "other.gguf", TinyModel())
    done = outrider("complete", "hi", "--draft", str(other))
    assert done.exit_code == 2
    assert "other.gguf and the target demo-target have different vocabularies" in done.stderr


def test_a_prompt_longer_than_the_targets_context_is_refused(outrider: Run) -> None:
    done = outrider("complete", "word " * 3000)
    assert done.exit_code == 2
    assert "shorten the prompt" in done.stderr


@contextmanager
def running(*arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "outrider_edge", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("mode", ["exact", "cloud", "big-little"])
def test_ctrl_c_ends_an_answer_with_what_stands(environment: None, mode: str) -> None:
    hot = ("--temperature", "30", "--max-tokens", "900", "--seed", "1")
    with running("complete", "hello", "--mode", mode, *hot) as process:
        assert process.stdout is not None
        first = process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        rest, summary = process.communicate(timeout=30)
    assert process.returncode == 130
    assert len(first) == 10
    assert rest.endswith("\n")
    assert "tokens (" in summary
    assert "interrupted: this is what stands" in summary
    assert "Traceback" not in summary


def test_ctrl_c_ends_an_answer_while_the_cloud_is_away(environment: None, cloud: str) -> None:
    hot = ("--temperature", "30", "--max-tokens", "900", "--seed", "1")
    with (
        Relay(cloud) as relay,
        running("complete", "hello", *hot, OUTRIDER_CLOUD=relay.address) as process,
    ):
        assert process.stdout is not None
        process.stdout.read(10)
        relay.cut()
        process.send_signal(signal.SIGINT)
        _, summary = process.communicate(timeout=15)  # long before it would give up
    assert process.returncode == 130
    assert "interrupted" in summary
