"""A repository that is added to: what it holds is read and checked, what is new signed and put
there in one go.

It does not know what a draft is.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Root, Snapshot, TargetFile, Targets, Timestamp

from outrider_protos.release import RELEASES_ROLE
from outrider_training.releases.destination import TIMESTAMP_PATH, Destination, Shipment, Upload
from outrider_training.releases.edition import (
    MAX_METADATA_BYTES,
    Edition,
    metadata_path,
    read_edition,
)
from outrider_training.releases.errors import (
    KeyUnusableError,
    RepositoryFullError,
    RepositoryMissingError,
    RepositoryUntrustedError,
)
from outrider_training.releases.key_folder import KeyFolder
from outrider_training.releases.roles import (
    AnyMetadata,
    AnyPayload,
    Lifetimes,
    Office,
    Roles,
    meta_of,
)

_MOST_LEFT_OVER: Final = 1000  # files of editions that never came to be
_SHIPPED: Final = (Targets.type, RELEASES_ROLE, Snapshot.type)  # in this order
_LAST_VERSION: Final = (1 << 32) - 1  # that a cloud can tell devices
_FAR_VERSION: Final = 1 << 30  # where only somebody comes who runs ahead
_RAN_AHEAD: Final = (
    "has the last version there can be: somebody else has signed it, so exchange the online key "
    "(outrider-train keys rotate online)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the next edition shall say anew. Snapshot and timestamp follow by themselves."""

    root: Root | None = None
    targets: Targets | None = None
    releases: Targets | None = None
    uploads: Sequence[Upload] = ()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Repository:
    """At a destination. All methods raise DestinationError."""

    def __init__(
        self,
        destination: Destination,
        lifetimes: Lifetimes = Lifetimes(),
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._destination, self._lifetimes, self.now = destination, lifetimes, now

    def changing(self) -> AbstractContextManager[None]:
        """Around reading and replacing. Raises RepositoryBusyError."""
        return self._destination.changing()

    def check_apart(self, folders: Iterable[KeyFolder]) -> None:
        """Whoever reads a repository would read these too. Raises KeyUnusableError."""
        for folder in folders:
            if self._destination.holds(folder.path):
                raise KeyUnusableError(folder.path, "lies in the repository, where everybody reads")

    def read(self, keys: KeyFolder, *others: KeyFolder) -> Edition:
        """By the root that the first keys trust; all will be used. Raises RepositoryMissingError,
        KeyUnusableError, RepositoryUntrustedError.
        """
        self.check_apart((keys, *others))
        own = [signer.public_key for signer in keys.signers()]
        return read_edition(self._destination.read, keys.root(), own)

    def look(self) -> Edition:
        """By its own first root: for whoever signs nothing. Raises what `read` does."""
        first = self._destination.read(metadata_path(Root.type, 1), MAX_METADATA_BYTES)
        if first is None:
            raise RepositoryMissingError("there is no repository: it has no metadata/1.root.json")
        return read_edition(self._destination.read, first)

    def check_absent(self) -> None:
        """Raises RepositoryMissingError if there is one already."""
        if self._destination.read(metadata_path(Root.type, 1), MAX_METADATA_BYTES) is not None:
            raise RepositoryMissingError("there is a repository already")

    def begin(self, change: Change, keys: Sequence[KeyFolder]) -> Edition:
        """The first edition, where there is none. Raises KeysMissingError, RepositoryBusyError."""
        left_over = self._destination.read(TIMESTAMP_PATH, MAX_METADATA_BYTES)
        return self._publish(self._issue(None, change, keys), change.uploads, left_over)

    def replace(self, before: Edition, change: Change, keys: Sequence[KeyFolder]) -> Edition:
        """The next edition. Raises KeysMissingError, RepositoryFullError, RepositoryBusyError."""
        fresh = self._issue(before.roles, change, keys)
        return self._publish(fresh, change.uploads, before.timestamp)

    def read_target(self, edition: Edition, path: str, most_bytes: int) -> bytes | None:
        """A small one; None if the edition has none of this path. Raises
        RepositoryUntrustedError.
        """
        found = edition.roles.releases.signed.targets.get(path)
        if found is None:
            return None
        if found.length > most_bytes:
            raise RepositoryUntrustedError(path, f"is longer than {most_bytes:,} bytes")
        data = self._destination.read(stored_path(found), most_bytes)
        if data is None:
            raise RepositoryUntrustedError(path, "is missing")
        try:
            found.verify_length_and_hashes(data)
        except LengthOrHashMismatchError as error:
            raise RepositoryUntrustedError(path, "is not what was signed") from error
        return data

    def fetch_target(self, edition: Edition, path: str, place: Path) -> None:
        """A large one that the edition has. Raises RepositoryUntrustedError."""
        found = edition.roles.releases.signed.targets[path]
        self._destination.fetch(stored_path(found), place, found.length)
        try:
            with place.open("rb") as file:
                found.verify_length_and_hashes(file)
        except LengthOrHashMismatchError as error:
            raise RepositoryUntrustedError(path, "is not what was signed") from error

    def _issue(self, old: Roles | None, change: Change, keys: Sequence[KeyFolder]) -> "_Issue":
        self.check_apart(keys)
        known: dict[str, AnyMetadata] = {} if old is None else old.named()
        office = _office(old, change, keys)
        fresh: dict[str, AnyMetadata] = {}
        for role, payload in (
            (Root.type, change.root),
            (Targets.type, change.targets),
            (RELEASES_ROLE, change.releases),
        ):
            if payload is not None:
                fresh[role] = office.sign(role, self._dated(role, payload, known, office))
        metas = {} if old is None else dict(old.snapshot.signed.meta)
        if office.exchanges(Snapshot.type):
            metas.clear()  # all of ours are signed anew
        for role in fresh.keys() - {Root.type}:
            metas[f"{role}.json"] = meta_of(fresh[role])
        snapshot = self._dated(Snapshot.type, Snapshot(meta=metas), known, office)
        fresh[Snapshot.type] = office.sign(Snapshot.type, snapshot)
        stamp = Timestamp(snapshot_meta=meta_of(fresh[Snapshot.type]))
        fresh[Timestamp.type] = office.sign(
            Timestamp.type, self._dated(Timestamp.type, stamp, known, office)
        )
        return _Issue(known, fresh)

    def _dated(
        self, role: str, payload: AnyPayload, known: dict[str, AnyMetadata], office: Office
    ) -> AnyPayload:
        """A copy with the next version whose file is not there, to be believed from now on."""
        dated = deepcopy(payload)
        version = known[role].signed.version + 1 if role in known else 1
        if version > _FAR_VERSION and office.exchanges(role):
            version = self._low_version()
        if role in _SHIPPED:  # roots follow one another without a gap
            version = self._free_version(role, version)
        if version > _LAST_VERSION:
            raise RepositoryUntrustedError(role, _RAN_AHEAD)
        dated.version = version
        dated.expires = self.now() + self._lifetimes.of(role)
        return dated

    def _low_version(self) -> int:
        """Above those of before somebody ran ahead: they followed one another."""
        for power in range(_FAR_VERSION.bit_length()):
            path = metadata_path(Snapshot.type, 1 << power)
            if self._destination.read(path, MAX_METADATA_BYTES) is None:
                return 1 << power
        raise RepositoryUntrustedError(Snapshot.type, "has files of too many versions")

    def _free_version(self, role: str, version: int) -> int:
        """An edition that was never finished may have left files, which are never replaced."""
        for free in range(version, version + _MOST_LEFT_OVER):
            if self._destination.read(metadata_path(role, free), MAX_METADATA_BYTES) is None:
                return free
        raise RepositoryUntrustedError(role, "has files of too many unfinished editions")

    def _publish(
        self, issue: "_Issue", uploads: Sequence[Upload], replaced: bytes | None
    ) -> Edition:
        timestamp = issue.fresh[Timestamp.type].to_bytes()
        shipment = Shipment(
            targets=uploads,
            metadata=[issue.upload(role) for role in _SHIPPED if role in issue.fresh],
            timestamp=timestamp,
            replaced=replaced,
            root=issue.upload(Root.type) if Root.type in issue.fresh else None,
        )
        self._destination.publish(shipment)
        return Edition(Roles.of({**issue.known, **issue.fresh}), timestamp)


@dataclass(frozen=True, slots=True)
class _Issue:
    """What was signed until now, and what is signed anew."""

    known: dict[str, AnyMetadata]
    fresh: dict[str, AnyMetadata]

    def upload(self, role: str) -> Upload:
        """Raises RepositoryFullError."""
        metadata = self.fresh[role]
        data = metadata.to_bytes()
        if len(data) > MAX_METADATA_BYTES:
            raise RepositoryFullError(role, MAX_METADATA_BYTES)
        return Upload(metadata_path(role, metadata.signed.version), data)


def stored_path(target: TargetFile) -> str:
    """Where a target lies: its name begins with its digest."""
    return f"targets/{target.get_prefixed_paths()[0]}"


def _office(old: Roles | None, change: Change, keys: Sequence[KeyFolder]) -> Office:
    signers = [signer for folder in keys for signer in folder.signers()]
    if old is None:
        assert change.root is not None
        assert change.targets is not None
        return Office(signers=signers, before=None, after=(change.root, change.targets))
    before = (old.root.signed, old.targets.signed)
    after = (change.root or before[0], change.targets or before[1])
    return Office(signers=signers, before=before, after=after)
