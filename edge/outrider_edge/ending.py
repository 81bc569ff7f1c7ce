"""How a command of `outrider` ends: an object or a line that says what to do, and an exit code.

Every expected error ends here. It knows errors, not commands.
"""

import errno
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import typer

from outrider_edge.errors import BadSettings, EdgeError
from outrider_edge.exits import ExitCode, advice, exit_code
from outrider_edge.releases.starts import take_marks_off
from outrider_edge.report import error_json
from outrider_protos.errors import SettingsError


def end_when_told() -> None:
    """SIGTERM, and a terminal that goes, end the command at once, but blame no draft for it.

    Where they are ignored they stay so.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    """No exception: it would come anywhere, also where a lock is taken or given back."""
    take_marks_off()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)  # the first process of a container is not ended by that


def print_json(value: Mapping[str, object]) -> None:
    """One object, one line."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


@contextmanager
def ending(as_json: bool) -> Iterator[None]:
    """Expected errors become one line (or one object) and an exit code."""
    try:
        yield
    except EdgeError as error:
        fail(error, as_json=as_json)
    except SettingsError as error:
        fail(BadSettings(str(error)), as_json=as_json)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # typer ends quietly when nobody reads on
        print(f"outrider: {error.strerror}", file=sys.stderr)
        raise typer.Exit(ExitCode.RESOURCES) from error


def fail(error: EdgeError, *, as_json: bool) -> None:
    """Raises Exit, always."""
    if as_json:
        print_json({"error": error_json(error)})
    hint = advice(error)
    print(f"outrider: {error}" + (f"; {hint}" if hint else ""), file=sys.stderr)
    raise typer.Exit(int(exit_code(error))) from error
