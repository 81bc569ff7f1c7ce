"""How a command ends when something goes wrong: a line on stderr, a code for whose turn it is."""

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
        _fail(error, 2)
    except (EngineError, ClientError) as error:
        _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    print(f"outrider-cloud: {error}", file=sys.stderr)
    raise typer.Exit(code) from error
