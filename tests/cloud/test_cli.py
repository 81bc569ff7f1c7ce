"""The command `outrider-cloud serve` as a process: announced, answering, drained, or refusing."""

import json
import signal
import urllib.request
from pathlib import Path

import grpc
import pytest

from outrider_protos.v1 import drafts_pb2, drafts_pb2_grpc, outrider_pb2, outrider_pb2_grpc
from tests.simulators.process import WAIT_S, announced, process, refused
from tests.simulators.repository import example_repository
from tests.simulators.target_folder import CONTEXT_TOKENS, make_target_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_target_folder(tmp_path_factory.mktemp("targets") / "tiny-target")


def test_it_announces_itself_answers_and_drains_on_sigterm(folder: Path) -> None:
    with process(
        "serve", "--target", str(folder), "--listen", "127.0.0.1:0", "--kv-tokens", "40"
    ) as cloud:
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


def test_releases_are_served_beside_a_target(folder: Path, tmp_path: Path) -> None:
    repository = example_repository(tmp_path / "repository")
    where = ("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--kv-tokens", "40")
    releases = ("--releases", str(repository.folder))
    with process("serve", "--target", str(folder), *where, *releases, "--json") as cloud:
        address = json.loads(announced(cloud))["address"]
        with grpc.insecure_channel(address) as channel:
            told = outrider_pb2_grpc.VerifierStub(channel).Describe(
                outrider_pb2.DescribeRequest(), timeout=WAIT_S
            )
            stub = drafts_pb2_grpc.DraftChannelStub(channel)
            news = next(stub.Watch(drafts_pb2.WatchRequest(), timeout=WAIT_S))
        assert cloud.stderr is not None
        line = next(line for line in cloud.stderr if "event=metrics" in line)
        place = line.rpartition("address=")[2].strip()
        with urllib.request.urlopen(f"http://{place}/metrics", timeout=WAIT_S) as reply:
            text = reply.read().decode()
    assert told.target_id == "tiny-target"
    assert news.version == "1"
    assert "outrider_busy_share 0.0" in text
    assert "outrider_devices" in text


def test_json_the_environment_and_ctrl_c_work_as_well(folder: Path) -> None:
    environment = {
        "OUTRIDER_CLOUD_TARGET": str(folder),
        "OUTRIDER_CLOUD_LISTEN": "localhost:0",
        "OUTRIDER_CLOUD_KV_TOKENS": "64",
    }
    with process("serve", "--json", **environment) as cloud:
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
    assert f"file {file}, device" in refused("serve", *from_file)[1]
    assert "environment OUTRIDER_CLOUD_DEVICE" in refused("serve", *from_file, **variable)[1]
    assert "flag --device" in refused("serve", *from_file, "--device", "tally", **variable)[1]


def test_beyond_loopback_it_refuses_to_start_in_the_open(folder: Path) -> None:
    code, said = refused("serve", "--target", str(folder), "--listen", "0.0.0.0:0")
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
    code, complaint = refused("serve", *arguments)
    assert code == 2
    assert said in complaint
    assert "Traceback" not in complaint


def test_a_missing_target_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, said = refused("serve", "--target", str(tmp_path / "empty"), "--listen", "127.0.0.1:0")
    assert code == 2
    assert "empty" in said
    assert "Traceback" not in said
