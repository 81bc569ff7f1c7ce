"""The command `outrider` without a cloud: local answers, bad input, exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from outrider_edge.cli import app
from tests.simulators.gguf_files import TinyModel, write_gguf

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", TinyModel())


@pytest.fixture
def outrider(tmp_path: Path, draft: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command as a fresh user would, with the tiny draft."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OUTRIDER_DRAFT", str(draft))
    monkeypatch.setenv("OUTRIDER_CLOUD", "127.0.0.1:9")  # nobody answers there

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=stdin)

    return run


LOCAL = ("--mode", "local", "--max-tokens", "6")


def test_a_local_answer_goes_to_stdout_and_its_price_to_stderr(outrider: Run) -> None:
    done = outrider("complete", "the one", *LOCAL)
    assert done.exit_code == 0
    assert done.stdout.strip()
    assert "6 tokens (6 unverified) · nothing left this machine" in done.stderr


def test_the_same_question_from_stdin_gets_the_same_answer(outrider: Run) -> None:
    asked = outrider("complete", "the one", *LOCAL)
    for arguments in (("complete",), ("complete", "-")):
        assert outrider(*arguments, *LOCAL, stdin="the one\n").stdout == asked.stdout


def test_raw_keeps_the_newline_that_a_question_loses(outrider: Run) -> None:
    def prompt_tokens(*arguments: str, stdin: str) -> int:
        done = outrider("complete", *arguments, *LOCAL, "--json", stdin=stdin)
        tokens: int = json.loads(done.stdout)["prompt_tokens"]
        return tokens

    assert prompt_tokens(stdin="the\n") == prompt_tokens(stdin="the")
    assert prompt_tokens("--raw", stdin="the\n") == prompt_tokens("--raw", stdin="the") + 1


def test_json_is_one_object_with_text_origins_and_bytes(outrider: Run) -> None:
    done = outrider("complete", "the one", *LOCAL, "--json")
    said = json.loads(done.stdout)
    assert done.stderr == ""
    assert said["text"] == said["unverified_text"]
    assert said["tokens_by_origin"] == {"unverified": said["tokens"]}
    assert (said["mode"], said["finish_reason"]) == ("local", "length")
    assert (said["bytes_sent"], said["bytes_received"], said["target_passes"]) == (0, 0, 0)


def test_quiet_says_nothing_but_the_answer(outrider: Run) -> None:
    assert outrider("complete", "the one", *LOCAL, "--quiet").stderr == ""


def test_the_help_of_every_command_documents_the_exit_codes(outrider: Run) -> None:
    for command in ("complete", "chat", "demo", "calibrate", "ledger"):
        text = " ".join(outrider(command, "--help").stdout.split())
        assert "3 the cloud is not there or refuses" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--draft", "none.gguf"), 2, "none.gguf: there is no such file"),
        (("--fallback", "nan"), 2, "flag --fallback: "),
        (("--rollback", "nan"), 2, "flag --rollback: "),
        (("--span", "9", "--window", "2"), 2, "the window (2) is shorter than the span (9)"),
        (("--local-only", "--cloud", "127.0.0.1:9"), 2, "contradict each other"),
        (("--local-only", "--mode", "exact"), 2, "the mode can only be local"),
        (("--cloud", "192.0.2.1:5"), 2, "needs a CA"),
        (("--token-file", "none"), 2, "the token file none cannot be read"),
        (("--config", "none.toml"), 2, "file none.toml: "),
        (("--mode", "best"), 2, "--mode"),
        (("--mode", "exact"), 3, "no cloud at 127.0.0.1:9"),
        (("--mode", "big-little"), 3, "or use --mode local"),
        (("--mode", "cloud"), 3, "outrider-cloud serve"),
    ],
)
def test_bad_input_gets_one_clear_line_and_an_exit_code(
    outrider: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = outrider("complete", "hi", *arguments)
    assert done.exit_code == code
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.output


def test_broken_model_files_are_refused_by_name(outrider: Run, draft: Path, tmp_path: Path) -> None:
    whole = draft.read_bytes()
    for data, said in ((whole[:-100], "is cut short"), (b"text", "is not a GGUF"), (b"", "empty")):
        (tmp_path / "broken.gguf").write_bytes(data)
        done = outrider("complete", "hi", *LOCAL, "--draft", str(tmp_path / "broken.gguf"))
        assert done.exit_code == 2
        assert f"broken.gguf: {said}" in done.stderr or said in done.stderr
        assert "--draft" in done.stderr


def test_an_unknown_key_in_the_file_names_the_nearest(outrider: Run, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("falback = 0.5\n")
    done = outrider("complete", "hi", "--config", str(file))
    assert done.exit_code == 2
    assert "did you mean fallback?" in done.stderr


def test_stdin_that_is_not_utf8_is_refused(outrider: Run) -> None:
    done = outrider("complete", *LOCAL, stdin=b"caf\xe9")
    assert done.exit_code == 2
    assert "standard input is not UTF-8: see byte 3" in done.stderr


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths(outrider: Run) -> None:
    done = outrider("complete", "z " * 400, *LOCAL)
    assert done.exit_code == 2
    assert "the context holds 256; shorten the prompt" in done.stderr


def test_errors_are_objects_with_json(outrider: Run) -> None:
    done = outrider("complete", "hi", "--json")
    error = json.loads(done.stdout)["error"]
    assert (error["kind"], error["exit_code"]) == ("CloudUnavailable", 3)
    assert done.exit_code == 3


def test_a_ledger_on_a_full_disk_costs_no_answer(
    outrider: Run, caplog: pytest.LogCaptureFixture
) -> None:
    whole = outrider("complete", "the one", *LOCAL)
    done = outrider("complete", "the one", *LOCAL, "--ledger", "/dev/full")
    assert (done.exit_code, done.stdout) == (0, whole.stdout)
    assert "ledger unwritable" in caplog.text


def test_the_ledger_sums_answers_by_mode(outrider: Run, tmp_path: Path) -> None:
    missing = outrider("ledger")
    assert missing.exit_code == 2
    assert "begins with the first answer" in missing.stderr
    outrider("complete", "the one", *LOCAL)
    outrider("complete", "the two", *LOCAL)
    (total,) = json.loads(outrider("ledger", "--json").stdout)["modes"]
    assert (total["mode"], total["answers"], total["bytes_sent"]) == ("local", 2, 0)
    assert outrider("ledger").stdout.split()[-5:] == ["2", "12", "0", "0", "0"]
    (tmp_path / "other").write_text("no database, " * 100)
    other = outrider("ledger", "--ledger", str(tmp_path / "other"))
    assert other.exit_code == 2
    assert "other: is not a ledger" in other.stderr


def test_chat_answers_one_line_a_turn_until_exit(outrider: Run) -> None:
    done = outrider("chat", *LOCAL, "--json", stdin="the\n\nthe one\n/exit\nnever\n")
    turns = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert len(turns) == 2
    assert turns[1]["prompt_tokens"] > turns[0]["prompt_tokens"] + turns[0]["tokens"]


def test_chat_through_a_pipe_stops_at_the_first_error(outrider: Run) -> None:
    done = outrider("chat", *LOCAL, stdin="the\n/mode exact\nthe\n")
    assert done.exit_code == 3
    assert "no cloud at 127.0.0.1:9" in done.stderr
    assert len(done.stdout.splitlines()) == 1
    unknown = outrider("chat", *LOCAL, stdin="/dance\n")
    assert unknown.exit_code == 2
    assert "that is no command" in unknown.stderr
    assert outrider("chat", *LOCAL, stdin=b"\xff\n").exit_code == 2


def test_calibrate_refuses_another_mode_and_missing_prompts(outrider: Run) -> None:
    done = outrider("calibrate", "--prompts", "none", "--mode", "exact")
    assert (done.exit_code, "leave --mode out" in done.stderr) == (2, True)
    done = outrider("calibrate", "--prompts", "none")
    assert (done.exit_code, "none: No such file" in done.stderr) == (2, True)


def test_the_demo_has_only_so_many_tasks(outrider: Run) -> None:
    done = outrider("demo", "--tasks", "0")
    assert done.exit_code == 2
    assert "tasks of each domain, not 0" in done.stderr
