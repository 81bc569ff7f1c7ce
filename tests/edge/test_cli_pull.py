"""The command `outrider pull`, as a process of its own: what it says, leaves and counts."""

import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from outrider_edge.account import totals
from tests.simulators.download_hub import Hub
from tests.simulators.gguf_files import TinyModel, write_gguf
from tests.simulators.static_web import Manners

NAME = "hf:org/repo/model.gguf"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", TinyModel()).read_bytes()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(tmp_path / "hub") as hub:
        yield hub


class Home:
    """A user's folders, and the command run there."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.ledger = folder / "state" / "outrider" / "ledger.sqlite"
        self.model = folder / "data" / "outrider" / "models" / "org" / "repo" / "model.gguf"
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        self.environ = kept | {
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": "hf_secret",
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_DATA_HOME": str(folder / "data"),
        }

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "outrider_edge", "pull", NAME, *arguments],
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        with self.start(*arguments, **environ) as process:
            said, complained = process.communicate(timeout=60)
        assert "hf_secret" not in said + complained
        assert "Traceback" not in complained
        return process.returncode, said, complained

    def partial(self, data: bytes) -> Path:
        name = f"{self.model.name}.{sha256(data).hexdigest()[:16]}.partial"
        return self.model.with_name(name)


@pytest.fixture
def home(tmp_path: Path, hub: Hub) -> Home:
    return Home(tmp_path / "home", hub)


def test_in_a_pipe_the_path_is_all_that_is_said(home: Home, hub: Hub, model: bytes) -> None:
    hub.publish("org/repo", "model.gguf", model)
    assert home.run() == (0, f"{home.model}\n", "")
    assert home.model.read_bytes() == model


def test_json_is_one_object_also_for_an_error(
    home: Home, hub: Hub, model: bytes, tmp_path: Path
) -> None:
    code, said, complained = home.run("--json")
    assert (code, json.loads(said)["error"]["kind"]) == (3, "NotOffered")
    assert "does not give org/repo/model.gguf (404)" in complained
    hub.publish("org/repo", "model.gguf", model)
    code, said, complained = home.run("--json", "--to", str(tmp_path))
    assert (code, complained) == (0, "")
    file = tmp_path / "model.gguf"
    assert json.loads(said) == {"file": str(file), "bytes": len(model)}
    assert file.read_bytes() == model


def test_what_came_and_went_is_in_the_ledger(home: Home, hub: Hub, model: bytes) -> None:
    hub.publish("org/repo", "model.gguf", model)
    home.run()
    home.run()  # a look alone
    found = totals(home.ledger).updates
    assert found.looks == 2
    assert found.bytes_sent == hub.front.received + hub.store.received
    assert found.bytes_received == hub.front.sent + hub.store.sent
    shown = subprocess.run(
        [sys.executable, "-m", "outrider_edge", "ledger"],
        env=home.environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    row = next(line.split() for line in shown.splitlines() if line.startswith("updates"))
    assert row == ["updates", f"{found.bytes_sent:,}", f"{found.bytes_received:,}"]


def test_where_no_connection_is_allowed_none_is_opened(home: Home, hub: Hub, model: bytes) -> None:
    hub.publish("org/repo", "model.gguf", model)
    for code, _, complained in (home.run(OUTRIDER_LOCAL_ONLY="1"), home.run("--local-only")):
        assert code == 2
        assert "leave local-only out of your settings" in complained
    assert not hub.front.asked
    assert not home.ledger.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_what_came_before_an_interruption_is_not_fetched_again(
    home: Home, hub: Hub, model: bytes, number: signal.Signals, code: int
) -> None:
    place = hub.publish("org/repo", "model.gguf", model)
    hub.store.towards[place] = Manners(stall_after=100_000)
    with home.start() as process:
        deadline_s = time.monotonic() + 30
        while _size(home.partial(model)) != 100_000:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        process.send_signal(number)
        _, complained = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in complained
    assert home.partial(model).read_bytes() == model[:100_000]
    hub.store.towards.clear()
    assert home.run()[0] == 0
    assert home.model.read_bytes() == model
    assert hub.store.bodies[place] == len(model)


def test_a_disk_that_fills_up_meanwhile(home: Home, hub: Hub, model: bytes) -> None:
    """Files of this process may only be so long: as good as a full disk, and as sudden."""
    hub.publish("org/repo", "model.gguf", model)
    with home.start() as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (150_000, 150_000))
        _, complained = process.communicate(timeout=60)
    assert process.returncode == 4
    assert complained == "outrider: model.gguf: File too large\n"
    assert home.run()[0] == 0
    assert home.model.read_bytes() == model


def test_on_a_terminal_there_is_a_bar_and_it_goes(home: Home, hub: Hub, model: bytes) -> None:
    place = hub.publish("org/repo", "model.gguf", model)
    hub.store.towards[place] = Manners(bytes_per_s=400_000.0)
    near, far = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "outrider_edge", "pull", NAME],
        env=home.environ | {"TERM": "xterm", "COLUMNS": "60"},
        stdout=subprocess.PIPE,
        stderr=far,
        text=True,
    ) as process:
        os.close(far)
        shown = _all_of(near)
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, f"{home.model}\n")
    assert "━" in shown
    assert f"/{len(model) / 1000:.1f} kB" in shown


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _all_of(terminal: int) -> str:
    """Until nobody writes to it any more, which Linux says by an error."""
    said = b""
    try:
        while piece := os.read(terminal, 1 << 16):
            said += piece
    except OSError:
        pass
    os.close(terminal)
    return said.decode()
