"""TUF metadata of a repository of drafts: what each role says, who signs it, and for how long.

Root and targets are signed by offline keys; snapshot, timestamp and the delegated role of the
releases by an online key. Values in, values out: it knows no files, and of drafts only their paths.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from outrider_protos.release import RELEASES_ROLE
from outrider_training.releases.errors import KeysMissingError

OFFLINE_ROLES: Final = (Root.type, Targets.type)
ONLINE_ROLES: Final = (Snapshot.type, Timestamp.type)
_PATHS: Final = ("*/*",)  # LINE/FILE

Payload = TypeVar("Payload", Root, Timestamp, Snapshot, Targets)
AnyPayload = Root | Timestamp | Snapshot | Targets
AnyMetadata = Metadata[Any]  # of any of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """After which what was signed is believed no more."""

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=365)
    releases: timedelta = timedelta(days=30)
    snapshot: timedelta = timedelta(days=30)
    timestamp: timedelta = timedelta(days=7)

    def of(self, role: str) -> timedelta:
        """By the role's name."""
        found: timedelta = getattr(self, role)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Everything that is signed in one edition of a repository."""

    root: Metadata[Root]
    targets: Metadata[Targets]
    releases: Metadata[Targets]
    snapshot: Metadata[Snapshot]
    timestamp: Metadata[Timestamp]

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> "Roles":
        """By the names of the roles, all of which are there."""
        return cls(**named)

    def named(self) -> dict[str, AnyMetadata]:
        """By the names of the roles."""
        return {
            Root.type: self.root,
            Targets.type: self.targets,
            RELEASES_ROLE: self.releases,
            Snapshot.type: self.snapshot,
            Timestamp.type: self.timestamp,
        }

    def seat(self, role: str) -> Role:
        """Whose signatures a role needs."""
        return seat(self.root.signed, self.targets.signed, role)

    def expired(self, at: datetime) -> list[str]:
        """Roles that are believed no more."""
        return [name for name, found in self.named().items() if found.signed.is_expired(at)]


def seat(root: Root, targets: Targets, role: str) -> Role:
    """Whose signatures a role needs, by these two."""
    delegator = targets if role == RELEASES_ROLE else root
    return delegator.get_delegated_role(role)


def first_root(offline: Sequence[Key], threshold: int, online: Key) -> Root:
    """Nothing is signed or dated yet."""
    ids = [key.keyid for key in offline]
    roles = {name: Role(list(ids), threshold) for name in OFFLINE_ROLES}
    roles |= {name: Role([online.keyid], 1) for name in ONLINE_ROLES}
    return Root(keys={key.keyid: key for key in (*offline, online)}, roles=roles)


def delegating(online: Key) -> Delegations:
    """What `targets` says: that one online key signs the releases."""
    role = DelegatedRole(RELEASES_ROLE, [online.keyid], 1, terminating=True, paths=list(_PATHS))
    return Delegations({online.keyid: online}, {RELEASES_ROLE: role})


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Signs payloads for readers who know the old keys and for those who know the new ones.

    So whoever reads while one root gives way to the next finds everything signed.
    """

    signers: Sequence[CryptoSigner]
    before: tuple[Root, Targets] | None
    after: tuple[Root, Targets]

    def sign(self, role: str, payload: AnyPayload) -> AnyMetadata:
        """Raises KeysMissingError where those who follow would not believe it. A new root must
        convince those before as well.
        """
        seats = [seat(*self.after, role)]
        if self.before is not None:
            seats.append(seat(*self.before, role))
        metadata = Metadata[Any](payload)
        for signer in self.signers:
            if any(signer.public_key.keyid in one.keyids for one in seats):
                metadata.sign(signer, append=True)
        for one in seats if role == Root.type else seats[:1]:
            check_signed(role, one, metadata.signatures)
        return metadata

    def exchanges(self, role: str) -> bool:
        """Whether none of a role's keys signs for it any more: readers then forget its versions."""
        if self.before is None:
            return False
        return set(seat(*self.before, role).keyids).isdisjoint(seat(*self.after, role).keyids)


def check_signed(role: str, wanted: Role, key_ids: Iterable[str]) -> None:
    """Raises KeysMissingError."""
    found = len(set(wanted.keyids).intersection(key_ids))
    if found < wanted.threshold:
        raise KeysMissingError(role, found, wanted.threshold)


def meta_of(metadata: AnyMetadata) -> MetaFile:
    """How another role speaks of it."""
    return MetaFile.from_data(metadata.signed.version, metadata.to_bytes(), ["sha256"])
