"""What is done with the keys of a repository: made, replaced, revoked, and used to renew it.

Offline and online keys lie in two folders; the offline one need be there only while it is used.
"""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuf.api.metadata import Root, Targets

from outrider_protos.release import RELEASES_ROLE
from outrider_training.releases.catalogue import readable
from outrider_training.releases.edition import Edition
from outrider_training.releases.errors import KeyUnknownError, KeyUnusableError
from outrider_training.releases.key_folder import KeyFolder, write_root
from outrider_training.releases.repository import Change, Repository
from outrider_training.releases.roles import OFFLINE_ROLES, ONLINE_ROLES, delegating, first_root

_LEAST_ID_LETTERS: Final = 8  # by which a key is named
_HELD: Final = (
    "holds keys already: name another folder, or, if they are of a try that failed and "
    "`outrider-train keys show` finds no repository, remove them"
)


@dataclass(frozen=True, slots=True)
class Hands:
    """The keys of both kinds. What is in a repository is believed by the online folder's root.

    Raises KeyUnusableError for one folder: whoever has the online key would have the others too,
    and old keys that are removed there are online ones.
    """

    offline: KeyFolder
    online: KeyFolder

    def __post_init__(self) -> None:
        offline, online = self.offline.path.resolve(), self.online.path.resolve()
        if offline == online:
            raise KeyUnusableError(online, "cannot hold both the offline and the online keys")

    @property
    def both(self) -> tuple[KeyFolder, KeyFolder]:
        """All that can sign."""
        return self.offline, self.online


def create(
    repository: Repository, hands: Hands, *, keys: int, threshold: int, anchor: Path
) -> Edition:
    """Keys, and a repository without releases; `anchor` gets the root for devices.

    Raises KeyUnusableError where keys are already or must not be, RepositoryMissingError,
    KeysMissingError.
    """
    repository.check_apart(hands.both)
    _check_room(hands, anchor)
    with repository.changing():
        repository.check_absent()
        offline = [hands.offline.create().public_key for _ in range(keys)]
        online = hands.online.create().public_key
        change = Change(
            root=first_root(offline, threshold, online),
            targets=Targets(delegations=delegating(online)),
            releases=Targets(),
        )
        edition = repository.begin(change, hands.both)
    root = edition.roles.root.to_bytes()
    hands.online.trust(root)
    write_root(anchor, root)
    return edition


def _check_room(hands: Hands, anchor: Path) -> None:
    for folder in hands.both:
        if folder.signers():
            raise KeyUnusableError(folder.path, _HELD)
    if anchor.exists():
        raise KeyUnusableError(anchor, "is the root of another repository")
    try:
        anchor.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KeyUnusableError(anchor.parent, error.strerror or str(error)) from error


def _read(repository: Repository, hands: Hands, *written: KeyFolder) -> Edition:
    """What is there, if these can be written afterwards. Raises what `Repository.read` does."""
    before = repository.read(hands.online, hands.offline)
    for folder in written:
        folder.check_writable()
    return before


def rotate_online(repository: Repository, hands: Hands) -> str:
    """A new online key, whose id is returned; what the old one signs is worth nothing."""
    with repository.changing():
        before = _read(repository, hands, hands.online)
        root, targets = _copies(before)
        old = list(root.roles[ONLINE_ROLES[0]].keyids)
        fresh = hands.online.create().public_key
        for role in ONLINE_ROLES:
            for key_id in old:
                root.revoke_key(key_id, role)
            root.add_key(fresh, role)
        targets.delegations = delegating(fresh)
        _replace_all(repository, before, (root, targets), hands, readable(repository, before))
    for key_id in {signer.public_key.keyid for signer in hands.online.signers()} - {fresh.keyid}:
        hands.online.remove(key_id)
    return fresh.keyid


def rotate_offline(repository: Repository, hands: Hands, named: str) -> str:
    """A new offline key in the place of this one; its id."""
    with repository.changing():
        before = _read(repository, hands, *hands.both)
        old = offline_key(before, named)
        root, targets = _copies(before)
        fresh = hands.offline.create().public_key
        for role in OFFLINE_ROLES:
            root.revoke_key(old, role)
            root.add_key(fresh, role)
        _replace_all(repository, before, (root, targets), hands)
    hands.offline.remove(old)
    return fresh.keyid


def revoke_offline(repository: Repository, hands: Hands, named: str) -> str:
    """Do without an offline key; its id. Raises KeyUnknownError if too few would be left."""
    with repository.changing():
        before = _read(repository, hands, *hands.both)
        old = offline_key(before, named)
        root, targets = _copies(before)
        if len(root.roles[Root.type].keyids) <= root.roles[Root.type].threshold:
            raise KeyUnknownError(
                "without this key there are fewer than must sign: put another in its place "
                "(outrider-train keys rotate offline)"
            )
        for role in OFFLINE_ROLES:
            root.revoke_key(old, role)
        _replace_all(repository, before, (root, targets), hands)
    hands.offline.remove(old)
    return old


def renew(repository: Repository, online: KeyFolder, offline: KeyFolder | None) -> Edition:
    """Sign the same with later dates; root and targets too if the offline keys are there."""
    with repository.changing():
        before = repository.read(online)
        if offline is None:
            releases = before.roles.releases.signed
            return repository.replace(before, Change(releases=releases), [online])
        online.check_writable()
        return _replace_all(repository, before, _copies(before), Hands(offline, online))


def is_online_key(edition: Edition, named: str) -> bool:
    """Whether it signs releases."""
    return _is_named(edition.roles.seat(RELEASES_ROLE).keyids, named)


def offline_key(edition: Edition, named: str) -> str:
    """The whole id of an offline key. Raises KeyUnknownError."""
    for key_id in edition.roles.seat(Root.type).keyids:
        if _is_named([key_id], named):
            return key_id
    raise KeyUnknownError(f"{named} names no key of this repository (outrider-train keys show)")


def _is_named(key_ids: list[str], named: str) -> bool:
    enough = len(named) >= _LEAST_ID_LETTERS
    return enough and any(key_id.startswith(named) for key_id in key_ids)


def _copies(edition: Edition) -> tuple[Root, Targets]:
    return deepcopy(edition.roles.root.signed), deepcopy(edition.roles.targets.signed)


def _replace_all(
    repository: Repository,
    before: Edition,
    changed: tuple[Root, Targets],
    hands: Hands,
    releases: Targets | None = None,
) -> Edition:
    """Everything is signed anew: a role whose keys have changed needs their signatures. The
    releases are those of before where nothing else is said.
    """
    root, targets = changed
    said = before.roles.releases.signed if releases is None else releases
    change = Change(root=root, targets=targets, releases=said)
    edition = repository.replace(before, change, hands.both)
    hands.online.trust(edition.roles.root.to_bytes())
    return edition
