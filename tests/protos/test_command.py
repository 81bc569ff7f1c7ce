"""How commands begin."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_BEGIN = "from outrider_protos.command import begin; begin('slow')"
_READ = "print('reading', flush=True)\ninput()\n"
_MAIN = "def main(): print('begun', flush=True); input()\n"


@pytest.mark.parametrize(("module", "told"), [(_READ, ""), (_MAIN, "KeyboardInterrupt")])
def test_ctrl_c_is_silent_until_the_command_begins(tmp_path: Path, module: str, told: str) -> None:
    """From then on the command says itself what becomes of it."""
    (tmp_path / "slow.py").write_text(module)
    with subprocess.Popen(
        [sys.executable, "-c", _BEGIN],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None and command.stderr is not None
        assert command.stdout.readline()
        command.send_signal(signal.SIGINT)
        said = command.stderr.read()
    assert told in said if told else not said
    assert command.returncode == -signal.SIGINT
