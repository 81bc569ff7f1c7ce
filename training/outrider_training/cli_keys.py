"""The commands `keys`: the keys that sign releases, and how long their signatures are believed."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from outrider_training.releases import ceremony
from outrider_training.releases.ceremony import Hands
from outrider_training.releases.edition import Edition
from outrider_training.releases.key_folder import ROOT, KeyFolder
from outrider_training.releases.places import open_destination
from outrider_training.releases.repository import Repository

_ID_LETTERS = 16  # that are shown, enough to name a key by
_REVIEW = (
    "what was released is signed anew: if the old key was in other hands, look at every line "
    "(outrider-train rollout) and withdraw what is not yours"
)

keys = typer.Typer(no_args_is_help=True, help="Keys that sign releases.")
rotate = typer.Typer(no_args_is_help=True, help="Put a new key in the place of an old one.")
keys.add_typer(rotate, name="rotate")

Offline = Annotated[
    Path, typer.Argument(metavar="OFFLINE", help="Folder of the keys that are kept offline.")
]
Online = Annotated[
    Path, typer.Argument(metavar="ONLINE", help="Folder of the key that signs releases.")
]
Where = Annotated[
    str,
    typer.Option(
        "--repository",
        metavar="WHERE",
        help="A folder or a URL; hf://ORG/REPO[@REVISION] on the Hub.",
    ),
]
Named = Annotated[
    str, typer.Argument(metavar="KEY", help="Id of a key, or how it begins (keys show).")
]


@keys.command("create")
def create_command(
    offline: Offline,
    online: Online,
    repository: Where,
    offline_keys: Annotated[int, typer.Option(min=1, max=16, help="How many.")] = 1,
    threshold: Annotated[int, typer.Option(min=1, help="How many of them must sign.")] = 1,
    root: Annotated[
        Path | None,
        typer.Option(help="File for what devices trust.  [root.json beside OFFLINE]"),
    ] = None,
) -> None:
    """Make keys, and a repository without releases.

    Keep OFFLINE away from any network; whoever publishes needs ONLINE alone.
    """
    if threshold > offline_keys:
        raise typer.BadParameter(f"{threshold} of {offline_keys} keys cannot sign")
    anchor = root or offline.resolve().parent / ROOT
    edition = ceremony.create(
        _repository(repository),
        _hands(offline, online),
        keys=offline_keys,
        threshold=threshold,
        anchor=anchor,
    )
    _tell(_facts(edition, _repository(repository)))
    typer.echo(f"devices trust {anchor}")


@rotate.command("online")
def rotate_online_command(offline: Offline, online: Online, repository: Where) -> None:
    """A new online key; what the old one signs is worth nothing from now on.

    While the old key is still in ONLINE no device is kept waiting meanwhile.
    """
    fresh = ceremony.rotate_online(_repository(repository), _hands(offline, online))
    typer.echo(f"the online key is {fresh[:_ID_LETTERS]}\n{_REVIEW}")


@rotate.command("offline")
def rotate_offline_command(offline: Offline, online: Online, key: Named, repository: Where) -> None:
    """A new offline key in the place of this one, signed for by the old ones and the new."""
    fresh = ceremony.rotate_offline(_repository(repository), _hands(offline, online), key)
    typer.echo(f"the new offline key is {fresh[:_ID_LETTERS]}")


@keys.command("revoke")
def revoke_command(offline: Offline, online: Online, key: Named, repository: Where) -> None:
    """Make a key worth nothing: an offline key goes, an online key is replaced."""
    place, hands = _repository(repository), _hands(offline, online)
    if ceremony.is_online_key(place.read(hands.online), key):
        fresh = ceremony.rotate_online(place, hands)
        typer.echo(f"revoked; the online key is {fresh[:_ID_LETTERS]}\n{_REVIEW}")
        return
    gone = ceremony.revoke_offline(place, hands, key)
    typer.echo(f"revoked {gone[:_ID_LETTERS]}")


@keys.command("renew")
def renew_command(
    online: Annotated[Path, typer.Option(help="Folder of the online key.")],
    repository: Where,
    offline: Annotated[
        Path | None, typer.Option(help="Folder of the offline keys: root and targets too.")
    ] = None,
) -> None:
    """Sign the same again with later dates."""
    folder = None if offline is None else KeyFolder(offline)
    place = _repository(repository)
    _tell(_facts(ceremony.renew(place, KeyFolder(online), folder), place))


@keys.command("show")
def show_command(
    repository: Where,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Who signs what, and until when it is believed."""
    place = _repository(repository)
    facts = _facts(place.look(), place)
    if as_json:
        typer.echo(json.dumps({"roles": facts}))
    else:
        _tell(facts)


def _repository(where: str) -> Repository:
    return Repository(open_destination(where))


def _hands(offline: Path, online: Path) -> Hands:
    return Hands(KeyFolder(offline), KeyFolder(online))


def _facts(edition: Edition, repository: Repository) -> list[dict[str, Any]]:
    expired = edition.roles.expired(repository.now())
    return [
        {
            "role": name,
            "version": found.signed.version,
            "keys": [key_id[:_ID_LETTERS] for key_id in edition.roles.seat(name).keyids],
            "threshold": edition.roles.seat(name).threshold,
            "expires": found.signed.expires.strftime("%Y-%m-%d %H:%M UTC"),
            "expired": name in expired,
        }
        for name, found in edition.roles.named().items()
    ]


def _tell(facts: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("role", "version", "keys", "needed", "expires"):
        table.add_column(heading, overflow="fold")
    for fact in facts:
        date = f"{fact['expires']} (expired)" if fact["expired"] else fact["expires"]
        rest = (str(fact["threshold"]), date)
        table.add_row(fact["role"], str(fact["version"]), "\n".join(fact["keys"]), *rest)
    Console().print(table, highlight=False)
