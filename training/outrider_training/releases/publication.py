"""A gated draft becomes the next release of a line, and goes to more devices or to none.

Everything is checked and made before the first byte is written; what is on its way to devices
changes with the last. It needs the online key alone, so that a worker can do it unattended.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from outrider_training.releases.catalogue import check_name, line_names, read_line, with_line
from outrider_training.releases.destination import Upload
from outrider_training.releases.edition import Edition
from outrider_training.releases.errors import RepositoryExpiredError, RolloutError
from outrider_training.releases.key_folder import KeyFolder
from outrider_training.releases.line_state import LineState
from outrider_training.releases.press import Press, Publication
from outrider_training.releases.repository import Change, Repository, stored_path
from outrider_training.releases.roles import OFFLINE_ROLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What came of it: the bytes of every form, by its path."""

    line: str
    number: int
    percent: int
    sizes: Mapping[str, int]


def publish(wish: Publication, repository: Repository, keys: KeyFolder) -> Published:
    """Raises TrainingError, EdgeError; the repository then is as it was."""
    check_name(wish.line)
    with repository.changing(), TemporaryDirectory(prefix="outrider-release-") as scratch:
        edition = _read(repository, keys)
        state = read_line(repository, edition, wish.line)
        fresh = state.publish(wish.percent)
        press = Press(
            wish=wish,
            repository=repository,
            edition=edition,
            before=state,
            after=fresh,
            number=fresh.highest,
            scratch=Path(scratch),
        )
        made = press.make()
        added = {each.target.path: each.target for each in made}
        releases, pointer = with_line(edition, wish.line, fresh, added)
        uploads = [Upload(stored_path(each.target), each.file) for each in made]
        change = Change(releases=releases, uploads=[*uploads, pointer])
        repository.replace(edition, change, [keys])
    sizes = {path: target.length for path, target in added.items()}
    return Published(line=wish.line, number=fresh.highest, percent=fresh.line.percent, sizes=sizes)


def roll_out(
    line: str, step: Callable[[LineState], LineState], repository: Repository, keys: KeyFolder
) -> LineState:
    """Change who is offered what. Raises TrainingError; the repository then is as it was."""
    with repository.changing():
        edition = _read(repository, keys)
        state = step(_known_line(line, repository, edition))
        releases, pointer = with_line(edition, line, state, {})
        repository.replace(edition, Change(releases=releases, uploads=[pointer]), [keys])
    return state


def line_state(line: str, repository: Repository) -> LineState:
    """Who is offered what, for whoever only looks. Raises TrainingError."""
    return _known_line(line, repository, repository.look())


def _known_line(line: str, repository: Repository, edition: Edition) -> LineState:
    known = line_names(edition)
    if line not in known:
        raise RolloutError(f"there is no line {line!r}; there are: {', '.join(known) or 'none'}")
    return read_line(repository, edition, line)


def _read(repository: Repository, keys: KeyFolder) -> Edition:
    """What an online key can go on with. Raises RepositoryExpiredError."""
    edition = repository.read(keys)
    for role in edition.roles.expired(repository.now()):
        if role in OFFLINE_ROLES:
            raise RepositoryExpiredError(role)
    return edition
