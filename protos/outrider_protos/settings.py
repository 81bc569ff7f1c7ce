"""How a program's settings are read: default < file (TOML) < environment < flag.

An unknown key is an error that names the nearest valid one, and every problem says where its value
came from. Values are never shown: they may be secret. What the settings mean is the model's affair.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from outrider_protos.errors import SettingsError

Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class _Reading:
    """What was found so far: later sources overwrite earlier ones."""

    known: list[str]
    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, key: str, value: object, origin: str, spelling: Mapping[str, str]) -> None:
        """`spelling` says how the source writes each known key."""
        if key in self.known:
            self.values[key] = value
            self.origins[key] = origin
            return
        close = get_close_matches(key, self.known, n=1, cutoff=0.5)
        hint = f"; did you mean {spelling[close[0]]}?" if close else ""
        self.problems.append(f"{origin}: unknown setting{hint}")


def load(
    model_class: type[Model],
    *,
    file: Path | None,
    environ: Mapping[str, str],
    prefix: str,
    flags: Mapping[str, object],
) -> Model:
    """The settings, checked by `model_class` (flat: one key a field).

    Environment variables are `prefix` and the key in capitals; those with the prefix and no known
    key are errors. A flag that is None was not given. Raises SettingsError with every problem.
    """
    reading = _Reading(list(model_class.model_fields))
    for key, value in _file_values(file).items():
        reading.take(key, value, f"file {file}, {key}", {name: name for name in reading.known})
    _read_environment(reading, environ, prefix)
    _read_flags(reading, flags)
    try:
        model = model_class.model_validate(reading.values)
    except ValidationError as error:
        reading.problems.extend(_complaints(error, reading, prefix))
    else:
        if not reading.problems:
            return model
    raise SettingsError(tuple(reading.problems))


def _file_values(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError((f"file {file}: {error.strerror}",)) from error
    except UnicodeDecodeError as error:
        raise SettingsError((f"file {file}: is not UTF-8",)) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError((f"file {file}: {error}",)) from error


def _read_environment(reading: _Reading, environ: Mapping[str, str], prefix: str) -> None:
    spelling = {name: prefix + name.upper() for name in reading.known}
    for variable in sorted(environ):
        if variable.startswith(prefix):
            key = variable.removeprefix(prefix).lower()
            reading.take(key, environ[variable], f"environment {variable}", spelling)


def _read_flags(reading: _Reading, flags: Mapping[str, object]) -> None:
    spelling = {name: _flag(name) for name in reading.known}
    for key, value in flags.items():
        if value is not None:
            reading.take(key, value, f"flag {_flag(key)}", spelling)


def _complaints(error: ValidationError, reading: _Reading, prefix: str) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        text = problem["msg"].removeprefix("Value error, ")  # a validator's own words are enough
        path = ".".join(str(part) for part in problem["loc"])
        key = path.partition(".")[0]
        if problem["type"] == "missing" and key not in reading.origins:
            yield (
                f"{key}: missing; set it in the file, as {prefix}{key.upper()} or by {_flag(key)}"
            )
        elif not key:
            yield text
        else:
            inner = f" ({path})" if path != key else ""
            yield f"{reading.origins.get(key, f'default of {key}')}{inner}: {text}"


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")
