"""`outrider-cloud releases` as a process, and `outrider-cloud fleet` asking a channel."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from outrider_cloud.cli import app
from outrider_protos.v1 import drafts_pb2 as pb
from outrider_protos.v1 import drafts_pb2_grpc, outrider_pb2, outrider_pb2_grpc
from tests.simulators.channel import report, running_channel
from tests.simulators.process import START_S, WAIT_S, announced, process, refused
from tests.simulators.repository import SimulatedRepository, example_repository

COMMITTED, REVERTED = pb.DRAFT_STATE_COMMITTED, pb.DRAFT_STATE_REVERTED
GOOD = pb.DomainAcceptance(domain="sums", answers=3, positions=100, agreed=60, agreed_before=50)


@pytest.fixture
def repository(tmp_path: Path) -> SimulatedRepository:
    return example_repository(tmp_path / "repository")


def test_releases_are_served_without_a_target(
    repository: SimulatedRepository, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet.db"
    flags = ("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--fleet", str(fleet))
    with process("releases", str(repository.folder), *flags, "--json") as cloud:
        address = json.loads(announced(cloud))["address"]
        with grpc.insecure_channel(address) as wire:
            stub = drafts_pb2_grpc.DraftChannelStub(wire)
            request = pb.FetchRequest(path="metadata/timestamp.json")
            data = b"".join(piece.data for piece in stub.Fetch(request, timeout=WAIT_S))
            stub.Report(report(COMMITTED), timeout=WAIT_S)
            with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
                outrider_pb2_grpc.VerifierStub(wire).Describe(outrider_pb2.DescribeRequest())
        cloud.send_signal(signal.SIGTERM)
        _, log = cloud.communicate(timeout=WAIT_S)
    assert data == (repository.folder / "metadata" / "timestamp.json").read_bytes()
    assert cloud.returncode == 0
    assert "event=metrics address=127.0.0.1:" in log
    with process("releases", str(repository.folder), *flags) as cloud:
        words = announced(cloud).split()
        assert words[:3] == ["serving", "releases", "on"]
        with grpc.insecure_channel(words[3]) as wire:
            stub = drafts_pb2_grpc.DraftChannelStub(wire)
            assert stub.ShowFleet(pb.FleetRequest(), timeout=WAIT_S).devices == 1


def test_metrics_are_read_from_the_running_command(
    repository: SimulatedRepository, tmp_path: Path
) -> None:
    flags = ("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--json")
    with process("releases", str(repository.folder), *flags) as cloud:
        address = json.loads(announced(cloud))["address"]
        with grpc.insecure_channel(address) as wire:
            stub = drafts_pb2_grpc.DraftChannelStub(wire)
            stub.Report(report(COMMITTED, domains=[GOOD]), timeout=WAIT_S)
        assert cloud.stderr is not None
        line = next(line for line in cloud.stderr if "event=metrics" in line)
        (place,) = re.findall(r"address=(\S+)", line)
        with urllib.request.urlopen(f"http://{place}/metrics", timeout=WAIT_S) as reply:
            text = reply.read().decode()
    assert 'outrider_devices{line="main",release="2",state="committed"} 1.0' in text
    assert 'outrider_acceptance{domain="sums",draft="now",line="main",release="2"} 0.6' in text


def test_releases_need_no_torch() -> None:
    code = (
        "import sys, outrider_cloud.cli\n"
        "from outrider_cloud.launch import launch_releases\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=START_S, check=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "releases: missing"),
        (("no-such-folder",), "there is no folder no-such-folder"),
        ((".", "--metrics", "0.0.0.0:0"), "loopback"),
        ((".", "--metrics", "nowhere"), "HOST:PORT"),
        ((".", "--listen", "0.0.0.0:0"), "--tls-cert"),
        ((".", "--fleet", "/dev/null/fleet.db"), "account"),
    ],
)
def test_wrong_settings_are_named(arguments: tuple[str, ...], said: str) -> None:
    code, complaint = refused("releases", *arguments)
    assert code == 2
    assert said in complaint
    assert "Traceback" not in complaint


def test_a_fleet_file_needs_releases() -> None:
    code, complaint = refused("serve", "--target", "x", "--fleet", "fleet.db")
    assert code == 2
    assert "--releases" in complaint


def asked(
    folder: Path,
    reports: list[pb.DraftReport],
    *flags: str,
    token_file: Path | None = None,
    environ: dict[str, str] | None = None,
    stdout: Path | None = None,
) -> tuple[int, str, str]:
    """Exit code and what `outrider-cloud fleet` says of a channel that has heard these, in this
    process or, with another standard output, in one of its own.
    """
    token = "of-anna" if token_file is not None else None

    async def scene() -> tuple[int, str, str]:
        async with running_channel(folder, token_file=token_file) as channel:
            for each in reports:
                await channel.report(each, token)
            where = ("--cloud", f"localhost:{channel.server.address.port}")
            if stdout is not None:
                return await asyncio.to_thread(command_into, stdout, *where, *flags)
            return await asyncio.to_thread(command, *where, *flags, **(environ or {}))

    return asyncio.run(scene())


def command(*flags: str, **environ: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["fleet", *flags], env=environ)
    return result.exit_code, result.stdout, result.stderr


def command_into(stdout: Path, *flags: str) -> tuple[int, str, str]:
    words = (sys.executable, "-m", "outrider_cloud", "fleet", *flags)
    with stdout.open("w") as file:
        done = subprocess.run(words, stdout=file, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, "", done.stderr


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_fleet_that_cannot_be_written_is_one_line(
    repository: SimulatedRepository, flags: tuple[str, ...]
) -> None:
    code, _, said = asked(repository.folder, [], *flags, stdout=Path("/dev/full"))
    assert (code, said) == (1, "outrider-cloud: No space left on device\n")


def test_help_says_what_stands_in_brackets() -> None:
    environ = {"COLUMNS": "160"}
    assert (
        "[default: 127.0.0.1:50051]"
        in CliRunner().invoke(app, ["releases", "--help"], env=environ).stdout
    )
    assert '{"tokens": [ids]}' in CliRunner().invoke(app, ["alone", "--help"], env=environ).stdout


def test_fleet_says_it_as_json(repository: SimulatedRepository) -> None:
    reports = [report(COMMITTED, domains=[GOOD]), *(report(REVERTED) for _ in range(20))]
    code, said, _ = asked(repository.folder, reports, "--json")
    assert code == 0
    found = json.loads(said)
    (standing,) = found["releases"]
    assert found["devices"] == 21
    assert {key: standing[key] for key in ("line", "release", "committed", "reverted")} == {
        "line": "main",
        "release": 2,
        "committed": 1,
        "reverted": 20,
    }
    assert "badly" in standing["halted"]
    assert standing["domains"] == [
        {
            "domain": "sums",
            "answers": 3,
            "positions": 100,
            "acceptance": 0.6,
            "acceptance_before": 0.5,
        }
    ]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_fleet_is_a_table_of_any_width(repository: SimulatedRepository, columns: int) -> None:
    strange = pb.DomainAcceptance(domain="[red]x[/red]", positions=4, agreed=1, agreed_before=3)
    reports = [report(COMMITTED, domains=[GOOD, strange]), *(report(REVERTED) for _ in range(20))]
    code, said, _ = asked(repository.folder, reports, environ={"COLUMNS": str(columns)})
    assert code == 0
    assert max(map(len, said.splitlines())) <= columns
    for words in ("sums 0.50 → 0.60", "1 committed", "20 reverted", "devices: 21", "[red]x"):
        assert words in said
    assert "\x1b" not in said
    assert re.search(r"main\s+2\s", said)
    assert "halted: main 2, as trials end badly" in said


def test_an_empty_fleet_is_said_so(repository: SimulatedRepository) -> None:
    code, said, _ = asked(repository.folder, [])
    assert code == 0
    assert "devices: 0" in said


def test_with_a_token_fleet_shows_its_owners_devices(
    repository: SimulatedRepository, tmp_path: Path
) -> None:
    tokens, mine, other = tmp_path / "tokens", tmp_path / "mine", tmp_path / "other"
    tokens.write_text("anna of-anna\nbert of-bert\n")
    mine.write_text("of-anna\n")
    other.write_text("of-bert\n")
    reports = [report(COMMITTED)]
    ask = ("--json", "--token-file")
    code, said, _ = asked(repository.folder, reports, *ask, str(mine), token_file=tokens)
    assert (code, json.loads(said)["devices"]) == (0, 1)
    code, said, _ = asked(repository.folder, reports, *ask, str(other), token_file=tokens)
    assert (code, json.loads(said)["devices"]) == (0, 0)
    code, _, said = asked(repository.folder, reports, token_file=tokens)
    assert code == 1
    assert "--token-file" in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--cloud", "example.org:1"), "--ca"),
        (("--cloud", "nowhere"), "HOST:PORT"),
        (("--token-file", "no-such-file"), "no-such-file"),
        (("--token-file", os.devnull), "one token"),
        (("--cloud", "example.org:1", "--ca", "no-such-file"), "no-such-file"),
    ],
)
def test_what_fleet_cannot_use_is_named(flags: tuple[str, ...], said: str) -> None:
    code, _, complaint = command(*flags)
    assert code == 2
    assert said in complaint


def test_a_cloud_that_is_not_there_is_said_so() -> None:
    code, _, complaint = command("--cloud", "127.0.0.1:1")
    assert code == 1
    assert "no cloud answers at 127.0.0.1:1" in complaint
