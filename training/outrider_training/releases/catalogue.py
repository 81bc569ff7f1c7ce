"""The lines and releases of an edition, and the next edition with one line changed.

Devices read `LINE/line.json`. What they need not know, the highest number, the releases to go back
to and which release was which file, stands in a field of its own in the same signed metadata. It
signs nothing.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from tuf.api.metadata import TargetFile, Targets

from outrider_protos.errors import MalformedMessage
from outrider_protos.release import (
    MAX_RELEASE_NUMBER,
    MAX_WITHDRAWN,
    Line,
    LineName,
    Number,
    Release,
    Sha256,
    full_path,
    line_path,
)
from outrider_training.releases.destination import Upload
from outrider_training.releases.edition import Edition
from outrider_training.releases.errors import RepositoryUntrustedError, RolloutError
from outrider_training.releases.line_state import MOST_FORMER, LineState
from outrider_training.releases.repository import Repository, stored_path

_FIELD: Final = "outrider_lines"
_MAX_LINE_BYTES: Final = 1 << 14
_NUMBER: Final = re.compile(r"/([0-9]{1,10})\.")
_SHA256: Final = re.compile("[0-9a-f]{64}")
_LINE_FILE: Final = line_path("")
_NEWEST_FILES: Final = 64  # that are remembered beside those withdrawn


class _Remembered(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    highest: Annotated[int, Field(ge=0)]  # a thief may have given any
    former: Annotated[tuple[Number, ...], Field(max_length=MOST_FORMER, strict=False)] = ()
    files: Annotated[dict[Sha256, Number], Field(max_length=_NEWEST_FILES + MAX_WITHDRAWN)] = {}


_LINES: Final = TypeAdapter(dict[LineName, _Remembered])
_NAME: Final = TypeAdapter(LineName)


def check_name(line: str) -> None:
    """Raises RolloutError."""
    try:
        _NAME.validate_python(line)
    except ValidationError as error:
        raise RolloutError(
            f"{line!r} cannot name a line: small letters, digits, '.', '_' and '-', at most 64"
        ) from error


def line_names(edition: Edition) -> list[str]:
    """Every line that ever had a release. Raises RepositoryUntrustedError."""
    return sorted(_remembered(edition.roles.releases.signed))


def read_line(repository: Repository, edition: Edition, name: str) -> LineState:
    """A new one if there is none. Raises RepositoryUntrustedError, DestinationError."""
    releases = edition.roles.releases.signed
    remembered = _remembered(releases).get(name, _Remembered(highest=0))
    files = remembered.files | _full_files(name, releases.targets)
    return LineState(
        line=_line(repository, edition, name),
        highest=remembered.highest or max(files.values(), default=0),
        former=remembered.former,
        files=files,
    )


def readable(repository: Repository, edition: Edition) -> Targets:
    """What an edition says of releases, without what nobody could read: whoever had the online key
    may have signed anything. Raises DestinationError.
    """
    releases = deepcopy(edition.roles.releases.signed)
    try:
        _remembered(releases)
    except RepositoryUntrustedError:
        del releases.unrecognized_fields[_FIELD]
    for path in [path for path in releases.targets if path.endswith(_LINE_FILE)]:
        try:
            _line(repository, edition, path.removesuffix(_LINE_FILE))
        except RepositoryUntrustedError:
            del releases.targets[path]
    return releases


def release_file(edition: Edition, line: str, number: int) -> tuple[str, Release]:
    """SHA-256 of a release's full file, and what is said of it. Raises
    RepositoryUntrustedError.
    """
    path = full_path(line, number)
    found = edition.roles.releases.signed.targets.get(path)
    if found is None:
        raise RepositoryUntrustedError(path, "is missing")
    try:
        return found.hashes["sha256"], Release.parse(found.custom)
    except (MalformedMessage, KeyError) as error:
        raise RepositoryUntrustedError(path, "is described in a way that is malformed") from error


def with_line(
    edition: Edition, name: str, state: LineState, added: Mapping[str, TargetFile]
) -> tuple[Targets, Upload]:
    """What the next edition says of releases, and the line's own file. Releases that nobody may
    install any more are left out.
    """
    releases = deepcopy(edition.roles.releases.signed)
    files = {path: file for path, file in releases.targets.items() if _stays(path, name, state)}
    data = state.line.model_dump_json().encode()
    pointer = TargetFile.from_data(line_path(name), data)
    releases.targets = files | dict(added) | {pointer.path: pointer}
    lines = _remembered(releases)
    known = {**state.files, **_full_files(name, added)}
    lines[name] = _Remembered(
        highest=state.highest, former=state.former, files=_worth_knowing(known, state.line)
    )
    releases.unrecognized_fields[_FIELD] = _LINES.dump_python(lines, mode="json")
    return releases, Upload(stored_path(pointer), data)


def _line(repository: Repository, edition: Edition, name: str) -> Line:
    """Nothing for anybody where the edition has none. Raises RepositoryUntrustedError."""
    data = repository.read_target(edition, line_path(name), _MAX_LINE_BYTES)
    try:
        return Line() if data is None else Line.parse_json(data)
    except MalformedMessage as error:
        raise RepositoryUntrustedError(line_path(name), "is malformed") from error


def _stays(path: str, line: str, state: LineState) -> bool:
    if not path.startswith(f"{line}/"):
        return True
    number = _NUMBER.search(path)
    return number is not None and int(number[1]) in state.offered


def _full_files(line: str, targets: Mapping[str, TargetFile]) -> dict[str, int]:
    """Which release each is, by its SHA-256. What no device reads is none."""
    found = {}
    for path, file in targets.items():
        number, sha256 = _NUMBER.search(path), file.hashes.get("sha256", "")
        if number is None or path != full_path(line, int(number[1])):
            continue
        if 0 < int(number[1]) <= MAX_RELEASE_NUMBER and _SHA256.fullmatch(sha256):
            found[sha256] = int(number[1])
    return found


def _worth_knowing(files: Mapping[str, int], line: Line) -> dict[str, int]:
    """What was withdrawn, and the newest, which may be; one file a number, whatever was signed."""
    named = {number: sha256 for sha256, number in files.items()}
    newest = {*sorted(named)[-_NEWEST_FILES:], *line.withdrawn}
    return {sha256: number for number, sha256 in named.items() if number in newest}


def _remembered(releases: Targets) -> dict[str, _Remembered]:
    found: Any = releases.unrecognized_fields.get(_FIELD, {})
    try:
        return _LINES.validate_python(found)
    except ValidationError as error:
        raise RepositoryUntrustedError("the list of lines", "is malformed") from error
