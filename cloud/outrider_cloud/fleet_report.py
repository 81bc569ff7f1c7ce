"""A fleet for people, as a table, and for programs, as an object. It knows not where it is from."""

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from outrider_protos.v1 import drafts_pb2 as pb

_STATES = ("on_trial", "committed", "reverted", "refused", "left")


def fleet_json(fleet: pb.Fleet) -> dict[str, object]:
    """Acceptance is a share, or None where nothing is known."""
    return {"devices": fleet.devices, "releases": [_release_json(each) for each in fleet.releases]}


def fleet_text(fleet: pb.Fleet) -> Group:
    """A narrow table, as what is many stands one below the other; then what is halted, and why."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("line", overflow="fold")
    table.add_column("release", justify="right")
    table.add_column("devices", no_wrap=True)
    table.add_column("acceptance, before → now", overflow="fold")
    for each in fleet.releases:
        states, acceptances = "\n".join(_states(each)), "\n".join(_acceptances(each))
        table.add_row(Text(each.line), str(each.release), states, Text(acceptances))
    reasons = (
        Text(f"halted: {each.line} {each.release}, as {each.halted}", style="red")
        for each in fleet.releases
        if each.halted
    )
    return Group(table, *reasons, Text(f"devices: {fleet.devices:,}"))


def _states(standing: pb.ReleaseStanding) -> Iterator[str]:
    for name in _STATES:
        count = getattr(standing, name)
        if count:
            yield f"{count:,} {name.replace('_', ' ')}"


def _acceptances(standing: pb.ReleaseStanding) -> Iterator[str]:
    for each in standing.domains:
        if each.positions:
            before, now = each.agreed_before / each.positions, each.agreed / each.positions
            yield f"{each.domain} {before:.2f} → {now:.2f}".strip()


def _release_json(standing: pb.ReleaseStanding) -> dict[str, object]:
    return {
        "line": standing.line,
        "release": standing.release,
        **{name: getattr(standing, name) for name in _STATES},
        "halted": standing.halted or None,
        "domains": [
            {
                "domain": each.domain,
                "answers": each.answers,
                "positions": each.positions,
                "acceptance": each.agreed / each.positions if each.positions else None,
                "acceptance_before": (
                    each.agreed_before / each.positions if each.positions else None
                ),
            }
            for each in standing.domains
        ],
    }
