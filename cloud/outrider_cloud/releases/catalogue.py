"""Which releases a repository offers, and to whom, as its metadata on the disk say.

They are read as plain JSON: whoever can write there runs this cloud, and devices check signatures
themselves. Only what is asked here is looked at. It blocks, and knows no callers.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from outrider_cloud.releases.folder import RepositoryFolder
from outrider_protos.errors import MalformedMessage
from outrider_protos.release import RELEASES_ROLE, Line, Sha256, line_path

_MOST_SMALL_BYTES: Final = 1 << 20
_MOST_TARGETS_BYTES: Final = 1 << 26
_MOST_LINES: Final = 256
_LINE: Final = re.compile(r"([a-z0-9][a-z0-9._-]{0,63})/line\.json")
_FULL: Final = re.compile(r"([a-z0-9][a-z0-9._-]{0,63})/([1-9][0-9]{0,9})\.gguf")

Version = Annotated[int, Field(ge=1)]  # any that a device reads, too


class _Metadata(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Of(_Metadata):
    version: Version


class _Listing(_Metadata):
    version: Version
    meta: dict[str, _Of]


class _Signed(_Metadata):
    """Of a timestamp and of a snapshot."""

    signed: _Listing


class _Hashes(_Metadata):
    sha256: Sha256


class _Target(_Metadata):
    hashes: _Hashes


class _TargetFiles(_Metadata):
    targets: dict[str, _Target]


class _SignedTargets(_Metadata):
    signed: _TargetFiles


_Document = TypeVar("_Document", _Signed, _SignedTargets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Nothing, until something was read."""

    lines: dict[str, Line] = field(default_factory=dict)
    releases: frozenset[tuple[str, int]] = frozenset()  # line and number

    def named(self, line: str) -> frozenset[int]:
        """The releases that devices of the line are pointed to, whether all or some."""
        found = self.lines.get(line, Line())
        return frozenset(number for number in (found.stable, found.next) if number is not None)

    def stable(self, line: str, release: int) -> bool:
        """Whether it is what all devices of the line may have."""
        return line in self.lines and self.lines[line].stable == release


def read_version(folder: RepositoryFolder) -> int:
    """Of the timestamp. Raises CloudError, OSError or ValueError where it cannot be read."""
    return _timestamp(folder).version


def read_catalogue(folder: RepositoryFolder) -> Catalogue:
    """As `read_version`. A line that says what none can say hides no other."""
    timestamp = _timestamp(folder)
    snapshot = _listed(folder, timestamp, "snapshot", _Signed, _MOST_SMALL_BYTES).signed
    if f"{RELEASES_ROLE}.json" not in snapshot.meta:
        return Catalogue()  # a new repository
    role = _listed(folder, snapshot, RELEASES_ROLE, _SignedTargets, _MOST_TARGETS_BYTES)
    targets = role.signed.targets
    fulls = (_FULL.fullmatch(path) for path in targets)
    return Catalogue(
        lines=_lines(folder, targets),
        releases=frozenset((full[1], int(full[2])) for full in fulls if full),
    )


def _timestamp(folder: RepositoryFolder) -> _Listing:
    data = folder.read("metadata/timestamp.json", _MOST_SMALL_BYTES)
    return _Signed.model_validate_json(data).signed


def _listed(
    folder: RepositoryFolder, listing: _Listing, role: str, kind: type[_Document], most_bytes: int
) -> _Document:
    """The metadata of a role, in the version that the listing names."""
    if f"{role}.json" not in listing.meta:
        raise ValueError(f"{role}.json is not listed")
    version = listing.meta[f"{role}.json"].version
    data = folder.read(f"metadata/{version}.{role}.json", most_bytes)
    return kind.model_validate_json(data)


def _lines(folder: RepositoryFolder, targets: dict[str, _Target]) -> dict[str, Line]:
    found = [match[1] for match in map(_LINE.fullmatch, targets) if match]
    if len(found) > _MOST_LINES:
        raise ValueError(f"more than {_MOST_LINES} lines")
    lines = {}
    for line in found:
        digest = targets[line_path(line)].hashes.sha256
        data = folder.read(f"targets/{line}/{digest}.line.json", _MOST_SMALL_BYTES)
        with suppress(MalformedMessage):  # as a thief's, with numbers that no release can have
            lines[line] = Line.parse_json(data)
    return lines
