"""One edition of a repository, as whoever publishes reads it: believed as far as signatures reach.

It begins with a root that is trusted and follows the chain, as devices do: nothing that somebody
else put there is ever signed anew. Dates are not looked at: what has expired can be renewed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key
from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from outrider_protos.release import RELEASES_ROLE
from outrider_training.releases.destination import TIMESTAMP_PATH
from outrider_training.releases.errors import RepositoryMissingError, RepositoryUntrustedError
from outrider_training.releases.roles import Payload, Roles

MAX_METADATA_BYTES: Final = 5_000_000  # what TUF's own client reads of one file
_MAX_ROOTS: Final = 256  # one after another

Read = Callable[[str, int], bytes | None]


@dataclass(frozen=True, slots=True)
class Edition:
    """What is signed, and the bytes of the timestamp that stands for all of it."""

    roles: Roles
    timestamp: bytes


def metadata_path(role: str, version: int) -> str:
    """Of all but the timestamp."""
    return f"metadata/{version}.{role}.json"


def read_edition(read: Read, trusted: bytes, own: Sequence[Key] = ()) -> Edition:
    """What the timestamp makes known. `own` are keys that only we have: what they have signed is
    ours, also where a change of keys ended halfway.

    Raises RepositoryMissingError, RepositoryUntrustedError, DestinationError.
    """
    root = _newest_root(read, trusted)
    data = read(TIMESTAMP_PATH, MAX_METADATA_BYTES)
    if data is None:
        raise RepositoryMissingError("there is no repository: it has no metadata/timestamp.json")
    chain = _Chain(read, own)
    timestamp = chain.check(Timestamp, Timestamp.type, data, root.signed)
    snapshot = chain.follow(Snapshot, Snapshot.type, timestamp.signed.snapshot_meta, root.signed)
    targets = chain.follow(Targets, Targets.type, _meta(snapshot, Targets.type), root.signed)
    releases = chain.follow(Targets, RELEASES_ROLE, _meta(snapshot, RELEASES_ROLE), targets.signed)
    roles = Roles(
        root=root, targets=targets, releases=releases, snapshot=snapshot, timestamp=timestamp
    )
    return Edition(roles, data)


@dataclass(frozen=True, slots=True)
class _Chain:
    read: Read
    own: Sequence[Key]

    def follow(
        self, kind: type[Payload], role: str, meta: MetaFile, delegator: Root | Targets
    ) -> Metadata[Payload]:
        data = self.read(metadata_path(role, meta.version), MAX_METADATA_BYTES)
        if data is None:
            raise RepositoryUntrustedError(role, "is missing")
        try:
            meta.verify_length_and_hashes(data)
        except LengthOrHashMismatchError as error:
            raise RepositoryUntrustedError(role, "is not what the snapshot says") from error
        found = self.check(kind, role, data, delegator)
        if found.signed.version != meta.version:
            raise RepositoryUntrustedError(role, "has another version than the snapshot says")
        return found

    def check(
        self, kind: type[Payload], role: str, data: bytes, delegator: Root | Targets
    ) -> Metadata[Payload]:
        found = _parse(kind, role, data)
        if not any(_signed_by(key, found) for key in self.own):
            _check_signatures(delegator, role, found)
        return found


def _newest_root(read: Read, trusted: bytes) -> Metadata[Root]:
    root = _parse(Root, Root.type, trusted)
    _check_signatures(root.signed, Root.type, root)
    for _ in range(_MAX_ROOTS):
        version = root.signed.version + 1
        data = read(metadata_path(Root.type, version), MAX_METADATA_BYTES)
        if data is None:
            return root
        newer = _parse(Root, Root.type, data)
        if newer.signed.version != version:
            raise RepositoryUntrustedError(Root.type, "has another version than its name")
        _check_signatures(root.signed, Root.type, newer)
        _check_signatures(newer.signed, Root.type, newer)
        root = newer
    raise RepositoryUntrustedError(Root.type, f"was changed more than {_MAX_ROOTS} times")


def _parse(kind: type[Payload], role: str, data: bytes) -> Metadata[Payload]:
    try:
        found: Metadata[Payload] = Metadata.from_bytes(data)
    except RepositoryError as error:
        raise RepositoryUntrustedError(role, "is malformed") from error
    if not isinstance(found.signed, kind):
        raise RepositoryUntrustedError(role, "is of another kind")
    return found


def _check_signatures(delegator: Root | Targets, role: str, found: Metadata[Payload]) -> None:
    try:
        delegator.verify_delegate(role, found.signed_bytes, found.signatures)
    except (RepositoryError, ValueError) as error:
        raise RepositoryUntrustedError(role, "is not signed by its keys") from error


def _signed_by(key: Key, found: Metadata[Payload]) -> bool:
    signature = found.signatures.get(key.keyid)
    if signature is None:
        return False
    try:
        key.verify_signature(signature, found.signed_bytes)
    except UnverifiedSignatureError:
        return False
    return True


def _meta(snapshot: Metadata[Snapshot], role: str) -> MetaFile:
    found = snapshot.signed.meta.get(f"{role}.json")
    if found is None:
        raise RepositoryUntrustedError(role, "is not in the snapshot")
    return found
