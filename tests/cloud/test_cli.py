"""The command `outrider-cloud serve` as a process: announced, answering, drained, or refusing."""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from outrider_protos.v1 import outrider_pb2, outrider_pb2_grpc
from tests.simulators.target_folder import CONTEXT_TOKENS, make_target_folder

START_S = 120.0
WAIT_S = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_target_folder(tmp_path_factory.mktemp("targets") / "tiny-target")


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "outrider_cloud", "serve", *arguments]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OUTRIDER_")}
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean | environment,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def announced(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(running.stdout, selectors.EVENT_READ)
        assert selector.select(START_S), "nothing was announced"
    return running.stdout.readline()


def refused(*arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and what a person reads."""
    with process(*arguments, **environment) as running:
        said, complaint = running.communicate(timeout=START_S)
    assert said == ""
    return running.returncode, complaint


def test_it_announces_itself_answers_and_drains_on_sigterm(folder: Path) -> None:
    with process("--target", str(folder), "--listen", "127.0.0.1:0", "--kv-tokens", "40") as cloud:
        name, _, address = announced(cloud).strip().removeprefix("serving ").partition(" on ")
        assert name == "tiny-target"
        with grpc.insecure_channel(address) as channel:
            stub = outrider_pb2_grpc.VerifierStub(channel)
            told = stub.Describe(outrider_pb2.DescribeRequest(), timeout=WAIT_S)
        assert told.target_id == "tiny-target"
        assert told.max_context_tokens == min(CONTEXT_TOKENS, 48)  # three pages
        cloud.send_signal(signal.SIGTERM)
        said, log = cloud.communicate(timeout=WAIT_S)
    assert cloud.returncode == 0
    assert said == ""
    assert "event=draining" in log
    assert "event=stopped" in log


def test_json_the_environment_and_ctrl_c_work_as_well(folder: Path) -> None:
    environment = {
        "OUTRIDER_CLOUD_TARGET": str(folder),
        "OUTRIDER_CLOUD_LISTEN": "localhost:0",
        "OUTRIDER_CLOUD_KV_TOKENS": "64",
    }
    with process("--json", **environment) as cloud:
        said = json.loads(announced(cloud))
        cloud.send_signal(signal.SIGINT)
        cloud.communicate(timeout=WAIT_S)
    assert said["target"] == "tiny-target"
    assert int(said["address"].removeprefix("localhost:")) > 0
    assert cloud.returncode == 0


def test_flags_count_more_than_the_environment_and_that_more_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text('target = "any"\ndevice = "abacus"\n')
    from_file = ("--config", str(file))
    variable = {"OUTRIDER_CLOUD_DEVICE": "slate"}
    assert f"file {file}, device" in refused(*from_file)[1]
    assert "environment OUTRIDER_CLOUD_DEVICE" in refused(*from_file, **variable)[1]
    assert "flag --device" in refused(*from_file, "--device", "tally", **variable)[1]


def test_beyond_loopback_it_refuses_to_start_in_the_open(folder: Path) -> None:
    code, said = refused("--target", str(folder), "--listen", "0.0.0.0:0")
    assert code == 2
    for flag in ("--tls-cert", "--tls-key", "--token-file"):
        assert flag in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--target"),
        (("--target", "x", "--device", "abacus"), "--device"),
        (("--target", "x", "--listen", "nowhere"), "HOST:PORT"),
        (("--target", "x", "--max-streams", "0"), "--max-streams"),
        (("--target", "x", "--threads", "99999999999"), "--threads"),
        (("--target", "x", "--kv-tokens", "1"), "--kv-tokens"),
        (("--target", "/no/such/folder"), "there is no folder /no/such/folder"),
        (("--target", "x", "--config", "no-such.toml"), "no-such.toml"),
    ],
)
def test_wrong_settings_are_named(arguments: tuple[str, ...], said: str) -> None:
    code, complaint = refused(*arguments)
    assert code == 2
    assert said in complaint
    assert "Traceback" not in complaint


def test_a_missing_target_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, said = refused("--target", str(tmp_path / "empty"), "--listen", "127.0.0.1:0")
    assert code == 2
    assert "empty" in said
    assert "Traceback" not in said
