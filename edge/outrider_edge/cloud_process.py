"""A cloud of its own, as a second process on loopback: started, awaited, ended.

It knows the command `outrider-cloud`, nothing of what is said to it afterwards.
"""

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import IO, Self

from outrider_edge.errors import LibraryError

START_DEADLINE_S = 180.0
_END_DEADLINE_S = 10.0
_MAX_READY_BYTES = 4096
_NOT_INSTALLED = "No module named"


class CloudProcess:
    """Serves `target` while the context lasts. Raises LibraryError if it does not start.

    `options` are further ones of `outrider-cloud serve`.
    """

    def __init__(self, target: str, *options: str, threads: int = 1) -> None:
        self.address = ""  # HOST:PORT, once entered
        where = ("--target", target, "--listen", "127.0.0.1:0")
        how = ("--json", "--threads", str(threads), "--drain-grace-s", "1")
        self._command = cloud_command("serve", *where, *how, *options)
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=cloud_environment(),
        )
        try:
            self.address = self._await_ready(self._process, time.monotonic() + START_DEADLINE_S)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _await_ready(self, process: subprocess.Popen[bytes], deadline_s: float) -> str:
        assert process.stdout is not None
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not said.endswith(b"\n"):
                if not selector.select(max(0.0, deadline_s - time.monotonic())):
                    raise LibraryError(f"the cloud did not start within {START_DEADLINE_S:g} s")
                chunk = os.read(process.stdout.fileno(), _MAX_READY_BYTES)
                if not chunk or len(said) > _MAX_READY_BYTES:
                    raise LibraryError(f"the cloud did not start: {self._last_words()}")
                said += chunk
        try:
            address: str = json.loads(said)["address"]
        except (ValueError, KeyError) as error:
            raise LibraryError("the cloud announced itself in words unknown here") from error
        return address

    def _last_words(self) -> str:
        assert self._log is not None
        self._log.seek(0)
        return last_line(self._log.read())

    def _end(self) -> None:
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(_END_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if self._log is not None:
            self._log.close()


def cloud_command(*arguments: str) -> list[str]:
    """The command line that runs `outrider-cloud` under this Python."""
    return [sys.executable, "-P", "-m", "outrider_cloud", *arguments]


def cloud_environment() -> dict[str, str]:
    """Ours, without settings meant for a cloud that the user runs."""
    return {k: v for k, v in os.environ.items() if not k.startswith("OUTRIDER_CLOUD_")}


def last_line(log: bytes) -> str:
    """What a process that failed said at last."""
    text = log.decode(errors="replace").strip()
    if _NOT_INSTALLED in text:
        return "it is not installed: pip install 'outrider[cloud]'"
    return text.splitlines()[-1] if text else "it said nothing"
