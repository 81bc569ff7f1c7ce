"""`outrider-train keys`, `publish` and `rollout`, as they are typed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from outrider_training import cli
from outrider_training.releases.errors import KeyUnknownError, RolloutError
from tests.simulators.release_reader import ReleaseReader
from tests.training.releases.scene import gate_report, learnt


class Shell:
    """In a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place, self.root = folder / "repository", folder / "root.json"
        self.offline, self.online = folder / "offline", folder / "online"

    def run(self, *words: object) -> Result:
        told = (*words, "--repository", self.place)
        return CliRunner().invoke(cli.app, [str(word) for word in told])

    def said(self, *words: object) -> str:
        result = self.run(*words)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def json(self, *words: object) -> Any:
        return json.loads(self.said(*words, "--json"))

    def publish(self, draft: Path, *flags: object) -> Any:
        report = draft.with_suffix(".json")
        keys = ("--keys", self.online, "--line", "demo", "--report", report)
        return self.json("publish", draft, *keys, *flags)

    def rollout(self, *flags: object) -> Any:
        return self.json("rollout", "demo", "--keys", self.online, *flags)

    def roles(self) -> dict[str, Any]:
        return {fact["role"]: fact for fact in self.json("keys", "show")["roles"]}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    folders = (made.offline, made.online)
    told = made.said("keys", "create", *folders, "--offline-keys", 2, "--root", made.root)
    assert f"devices trust {made.root}" in told.replace("\n", "")
    return made


def test_keys_are_made_in_folders_that_are_not_there_yet(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.said("keys", "create", tmp_path / "keys" / "offline", tmp_path / "keys" / "online")
    assert (tmp_path / "keys" / "root.json").is_file()


def test_from_keys_to_a_release_for_everybody(shell: Shell, second: Path) -> None:
    done = shell.publish(second, "--domain", "sql", "--target-id", "big")
    assert (done["number"], done["percent"]) == (1, 100)
    assert shell.rollout("--promote")["stable"] == 1
    third = learnt(second, "third.gguf", 2)
    gate_report(second.parent, third, second)
    done = shell.publish(third)
    assert done["sizes"]["demo/2.from-1.delta"] < done["sizes"]["demo/2.gguf"]
    assert shell.rollout("--percent", 30)["percent"] == 30
    assert shell.rollout("--hold")["held"]
    assert not shell.rollout("--resume")["held"]
    looked = {"stable": 1, "next": 2, "percent": 30, "held": False, "withdrawn": []}
    looked |= {"highest": 2, "former": []}
    assert shell.json("rollout", "demo") == looked
    assert shell.rollout("--promote")["former"] == [1]
    assert shell.rollout("--withdraw")["stable"] == 1
    assert "withdrawn: 2" in shell.said("rollout", "demo")
    again = shell.run("rollout", "demo", "--keys", shell.online, "--withdraw", "--release", 2)
    assert isinstance(again.exception, RolloutError)
    assert shell.run("rollout", "demo", "--release", 2).exit_code == 2
    seen = ReleaseReader(shell.place, shell.folder / "device", shell.root.read_bytes()).look()
    assert seen.line("demo").stable == 1
    release = seen.release("demo", 1)
    assert release is not None
    assert release.domains == ("sql",)


def test_a_new_folder_for_the_online_key_needs_what_devices_trust(shell: Shell) -> None:
    empty = shell.folder / "empty"
    refused = shell.run("keys", "rotate", "online", shell.offline, empty).exception
    assert "is not there: put the one of `keys create` there" in str(refused)
    empty.mkdir()
    (empty / "root.json").write_bytes(shell.root.read_bytes())
    assert "the online key is" in shell.said("keys", "rotate", "online", shell.offline, empty)


def test_the_same_is_told_in_words(shell: Shell, second: Path) -> None:
    told = shell.said(
        "publish", second, "--keys", shell.online, "--line", "demo",
        "--report", second.with_suffix(".json"), "--percent", 25,
    )  # fmt: skip
    assert "demo 1 is offered to 25 % of the devices" in told
    assert f"demo/1.gguf: {second.stat().st_size:,} bytes" in told
    assert shell.said("rollout", "demo", "--keys", shell.online, "--hold") == (
        "demo: nothing is everybody's\n1 is offered to 25 % of the devices, on hold\n"
    )


def test_keys_are_rotated_revoked_and_renewed(shell: Shell, second: Path) -> None:
    shell.publish(second)
    before = shell.roles()
    folders = (shell.offline, shell.online)
    assert "withdraw what is not yours" in shell.said("keys", "rotate", "online", *folders)
    (online,) = shell.roles()["releases"]["keys"]
    assert online not in before["releases"]["keys"]
    assert shell.roles()["timestamp"]["keys"] == [online]
    first, other = shell.roles()["root"]["keys"]
    shell.said("keys", "rotate", "offline", *folders, first)
    assert first not in shell.roles()["root"]["keys"]
    shell.said("keys", "revoke", *folders, other)
    assert len(shell.roles()["root"]["keys"]) == 1
    assert "revoked; the online key is" in shell.said("keys", "revoke", *folders, online)
    assert isinstance(shell.run("keys", "revoke", *folders, online).exception, KeyUnknownError)
    version = shell.roles()["root"]["version"]
    shell.said("keys", "renew", "--online", shell.online)
    assert shell.roles()["root"]["version"] == version
    shell.said("keys", "renew", "--online", shell.online, "--offline", shell.offline)
    assert shell.roles()["root"]["version"] == version + 1
    assert shell.rollout()["next"] == 1
    assert "root" in shell.said("keys", "show")
    assert not any(fact["expired"] for fact in shell.roles().values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("keys", "create", "a", "b", "--threshold", 2), "2 of 1 keys cannot sign"),
        (("rollout", "demo", "--hold", "--promote"), "one step at a time"),
        (("rollout", "demo", "--hold"), "a change needs --keys"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(
    shell: Shell, words: tuple[object, ...], said: str
) -> None:
    result = shell.run(*words)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("words", [("keys", "show"), ("keys", "show", "--json"), ("--help",)])
def test_what_cannot_be_written_is_one_line(shell: Shell, words: tuple[str, ...]) -> None:
    where = () if words == ("--help",) else ("--repository", shell.place)
    command = (sys.executable, "-m", "outrider_training", *words, *where)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "outrider-train: No space left on device\n"
    assert done.returncode == 1


def test_nobody_who_reads_on_is_no_error(shell: Shell) -> None:
    command = (sys.executable, "-m", "outrider_training", "keys", "show", "--json")
    with subprocess.Popen(
        (*command, "--repository", shell.place), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("keys", "create"), ("[@REVISION]", "[root.json beside OFFLINE]")),
        (("publish",), ("[@REVISION]", "[the report's]", "[the one here]")),
    ],
)
def test_help_says_what_stands_in_brackets(words: tuple[str, ...], told: tuple[str, ...]) -> None:
    said = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": "160"}).stdout
    assert all(text in said for text in told)


def test_an_unknown_line_is_named(shell: Shell) -> None:
    refused = shell.run("rollout", "demo").exception
    assert isinstance(refused, RolloutError)
    assert str(refused) == "there is no line 'demo'; there are: none"
