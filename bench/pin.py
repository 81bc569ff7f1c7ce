"""Where a measured process runs: its core and its scheduling class.

Used as a prefix, so that every thread of the command is born on the core:

    python -m bench.pin --core 0 -- outrider-cloud serve ...

It does not know what the processes do.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A core, and whether ordinary processes on it must give way at once.

    The link emulator is real-time: it stands for a network, which waits for nobody's computing.
    """

    core: int
    real_time: bool = False

    def take(self) -> None:
        """Move every thread of this process here, and with them those they will start.

        Raises PermissionError where real-time scheduling is not allowed.
        """
        for thread in _threads(os.getpid()):
            os.sched_setaffinity(thread, {self.core})
            if self.real_time:
                os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(1))

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a command here; its standard input and output are text pipes."""
        prefix = [sys.executable, "-m", "bench.pin", "--core", str(self.core)]
        if self.real_time:
            prefix.append("--real-time")
        return subprocess.Popen(
            [*prefix, "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


def may_be_real_time() -> bool:
    """Whether this user's processes may go ahead of ordinary ones."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


def where(process_id: int) -> str:
    """The cores and class all threads of a live process run in, as one phrase."""
    threads = _threads(process_id)
    cores = sorted(set().union(*(os.sched_getaffinity(thread) for thread in threads)))
    real_time = os.sched_getscheduler(process_id) == os.SCHED_RR
    named = "core " + ", ".join(map(str, cores)) if len(cores) == 1 else f"cores {cores}"
    return f"{named}{', real-time' if real_time else ''}, {len(threads)} threads"


def _threads(process_id: int) -> list[int]:
    return [int(entry.name) for entry in Path(f"/proc/{process_id}/task").iterdir()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a command on one core.")
    parser.add_argument("--core", type=int, required=True)
    parser.add_argument("--real-time", action="store_true", help="ahead of ordinary processes")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    Place(core=arguments.core, real_time=arguments.real_time).take()
    os.execvp(arguments.command[0], arguments.command)


if __name__ == "__main__":
    main()
