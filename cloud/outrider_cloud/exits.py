"""How a command ends when something goes wrong: a line on stderr, a code for whose turn it is."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from outrider_cloud.errors import ClientError, ConfigError, EngineError, TargetError
from outrider_protos.errors import SettingsError


@contextmanager
def ending() -> Iterator[None]:
    """2: something that was given is wrong. 1: it failed for another reason."""
    try:
        yield
    except (SettingsError, ConfigError, TargetError, UnicodeDecodeError) as error:
        _fail(error, str(error), 2)
    except (EngineError, ClientError) as error:
        _fail(error, str(error), 1)
    except OSError as error:  # full standard output, say
        if error.errno == errno.EPIPE:
            raise  # typer ends quietly when nobody reads on
        reason = error.strerror or type(error).__name__
        _fail(error, reason if error.filename is None else f"{error.filename}: {reason}", 1)


def _fail(error: Exception, reason: str, code: int) -> None:
    print(f"outrider-cloud: {reason}", file=sys.stderr)
    raise typer.Exit(code) from error
