"""What a release channel offers, as signed: the only importer of TUF.

A channel cannot make a device believe anything: metadata is signed by keys that the device knows
from its root, versions never go back, and what has expired counts for nothing. It reads files and
fetches none of those that are described.
"""

import posixpath
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
    StorageError,
)
from tuf.api.metadata import Metadata, Root, TargetFile, Timestamp
from tuf.ngclient import FetcherInterface, Updater

from outrider_edge.errors import (
    BadRelease,
    BadSettings,
    ChannelUnavailable,
    ClockWrong,
    EdgeError,
    NotOffered,
    StoreFailed,
)
from outrider_edge.releases.chunks import ChunkPlan
from outrider_edge.releases.source import Source
from outrider_protos.errors import MalformedMessage
from outrider_protos.release import Form, FormKind, Line, Release, full_path, line_path

_BASE: Final = "channel:/"  # TUF wants addresses; ours are paths below one root
_MOST_LINE_BYTES: Final = 1 << 14
_SHA256: Final = re.compile("[0-9a-f]{64}")
_CLOCK_SLACK_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file that may be fetched, as it was signed."""

    kind: FormKind
    path: str  # in the source
    sha256: str
    base_sha256: str | None  # the file it needs
    plan: ChunkPlan

    @property
    def size_bytes(self) -> int:
        return self.plan.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A release, and in which forms it comes."""

    release: Release
    full: Part
    smaller: tuple[Part, ...]


class Catalogue:
    """One look at a channel. `root` is what is trusted to begin with; `folder` remembers more.

    Raises BadRelease for metadata that cannot be trusted, ClockWrong, ChannelUnavailable,
    StoreFailed, and what the source raises.
    """

    def __init__(
        self, source: Source, folder: Path, root: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._source, self._clock = source, clock
        self._known = folder / "timestamp.json"
        _check_root(root)
        with self._judging():
            folder.mkdir(parents=True, exist_ok=True)
            self._check_clock()
            self._tuf = Updater(
                metadata_dir=str(folder),
                metadata_base_url=f"{_BASE}/metadata/",
                fetcher=_Fetcher(source),
                bootstrap=root,
            )
            self._tuf.refresh()

    def line(self, name: str) -> Line | None:
        """What is current; None for a line of which nothing was released yet."""
        with self._judging():
            if self._tuf.get_targetinfo(line_path(name)) is None:
                return None
            target = self._target(line_path(name))
            data = _at_most(self._source.read(_stored(target)), target.length, _MOST_LINE_BYTES)
            target.verify_length_and_hashes(data)
            return Line.parse_json(data)

    def offer(self, line: str, number: int) -> Offer:
        """One release of a line. Raises NotOffered."""
        with self._judging():
            target = self._target(full_path(line, number))
            release = Release.parse(target.custom)
            if release.number != number:
                raise BadRelease(f"release {number} calls itself {release.number}")
            plan = ChunkPlan.signed(target.length, release.chunks)
            full = _part(target, FormKind.FULL, None, plan)
            forms = tuple(self._form(line, number, path) for path in release.forms)
            return Offer(release=release, full=full, smaller=forms)

    def _form(self, line: str, number: int, path: str) -> Part:
        """Only of this very release: what else a channel may sign for is not looked at."""
        if not path.startswith(f"{line}/{number}.") or path.count("/") > 1:
            raise BadRelease(f"release {number} asks for a file that is not its own")
        target = self._target(path)
        form = Form.parse(target.custom)
        if form.base_sha256 is None:
            raise BadRelease(f"{posixpath.basename(path)} does not say what it is based on")
        plan = ChunkPlan.signed(target.length, form.chunks)
        return _part(target, form.kind, form.base_sha256, plan)

    def _target(self, path: str) -> TargetFile:
        target = self._tuf.get_targetinfo(path)
        if target is None:
            raise NotOffered(f"the channel has no {path}")
        if not _SHA256.fullmatch(target.hashes.get("sha256", "")):
            raise BadRelease(f"{path} is signed without a SHA-256")  # which names files here
        return target

    def _check_clock(self) -> None:
        """What was fetched before cannot have come tomorrow."""
        if not self._known.is_file():
            return
        known_s, now_s = self._known.stat().st_mtime, self._clock()
        if now_s < known_s - _CLOCK_SLACK_S:
            raise ClockWrong(
                f"this machine's clock says {_day(now_s)}, but its last look at the channel was "
                f"on {_day(known_s)}: set the clock, or, if it was wrong on that look, touch "
                "metadata/timestamp.json in the folder of drafts"
            )

    @contextmanager
    def _judging(self) -> Iterator[None]:
        """TUF's errors become ours, by who must act."""
        try:
            yield
        except ExpiredMetadataError as error:
            raise BadRelease(
                "the channel's signatures have expired: nobody renewed them, somebody holds newer "
                f"ones back, or this machine's clock ({_day(self._clock())}) is wrong"
            ) from error
        except (RepositoryError, MalformedMessage, DownloadLengthMismatchError) as error:
            raise BadRelease(f"the channel cannot be trusted: {error}") from error
        except DownloadHTTPError as error:
            raise NotOffered("the channel has no metadata: it is none, or half of one") from error
        except DownloadError as error:
            if isinstance(error.__cause__, EdgeError):
                raise error.__cause__ from error
            raise ChannelUnavailable("the channel cannot be read") from error
        except OSError as error:
            raise StoreFailed(f"the channel's metadata: {error.strerror or error}") from error


def _check_root(root: bytes) -> None:
    """Raises BadSettings: it was given by the user, not by the channel."""
    try:
        found = isinstance(Metadata.from_bytes(root).signed, Root)
    except RepositoryError:
        found = False
    if not found:
        raise BadSettings("the root metadata that was given is no root of TUF")


def known_version(folder: Path) -> int:
    """Of the newest state that was seen; 0 for none that can be read."""
    try:
        return Metadata[Timestamp].from_file(str(folder / "timestamp.json")).signed.version
    except (RepositoryError, StorageError):
        return 0


class _Fetcher(FetcherInterface):
    """TUF's way to a source."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        """A missing file must be known at once: TUF asks for roots until there is none."""
        pieces = self._source.read(url.removeprefix(f"{_BASE}/"))
        try:
            first = next(pieces, b"")
        except NotOffered as error:
            raise DownloadHTTPError(str(error), 404) from error
        return _joined(first, pieces)


def _joined(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    try:
        yield from pieces
    except EdgeError as error:
        raise DownloadError(str(error)) from error


def _part(target: TargetFile, kind: FormKind, base: str | None, plan: ChunkPlan) -> Part:
    return Part(
        kind=kind,
        path=_stored(target),
        sha256=target.hashes["sha256"],
        base_sha256=base,
        plan=plan,
    )


def _stored(target: TargetFile) -> str:
    """Consistent snapshots: the digest stands before the name, so that nothing is overwritten."""
    folder, name = posixpath.split(target.path)
    return f"targets/{folder}/{target.hashes['sha256']}.{name}"


def _at_most(pieces: Iterator[bytes], length: int, most: int) -> bytes:
    """Endless data ends here."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > min(length, most):
            break
    return bytes(data)


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
