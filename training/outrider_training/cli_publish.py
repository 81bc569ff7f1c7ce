"""The commands `publish` and `rollout`: releases, and who is offered them."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from outrider_training.cli_keys import Where
from outrider_training.releases.description import Wishes
from outrider_training.releases.key_folder import KeyFolder
from outrider_training.releases.line_state import FIRST_PERCENT, LineState
from outrider_training.releases.places import open_destination
from outrider_training.releases.press import Publication
from outrider_training.releases.publication import line_state, publish, roll_out
from outrider_training.releases.repository import Repository

JsonFlag = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


def publish_command(  # noqa: PLR0913 - each is a flag
    draft: Annotated[Path, typer.Argument(help="The GGUF file to release.")],
    repository: Where,
    keys: Annotated[Path, typer.Option(help="Folder of the online key.")],
    line: Annotated[str, typer.Option(help="Which drafts this one is among.")],
    report: Annotated[Path, typer.Option(help="gate.json of this very file.")],
    adapter: Annotated[
        Path | None, typer.Option(help="The same as a LoRA, over a file that devices have.")
    ] = None,
    adapter_report: Annotated[Path | None, typer.Option(help="gate.json of the adapter.")] = None,
    factory: Annotated[
        Path | None, typer.Option(help="The file devices come with: a delta from it as well.")
    ] = None,
    percent: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=100,
            help=f"Share of devices.  [{FIRST_PERCENT}; 100 for the first]",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Although this very file was withdrawn.")
    ] = False,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="Again for each.  [the report's]")
    ] = None,
    target_id: Annotated[str | None, typer.Option(help="The target it drafts for.")] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Least llama-cpp-python.  [the one here]")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign a gated draft as the next release of a line and offer it to some devices."""
    domains = None if domain is None else tuple(domain)
    wish = Publication(
        line=line,
        draft=draft,
        report=report,
        adapter=adapter,
        adapter_report=adapter_report,
        factory=factory,
        again=again,
        percent=percent,
        wishes=Wishes(target_id=target_id, runtime=runtime, domains=domains),
    )
    done = publish(wish, Repository(open_destination(repository)), KeyFolder(keys))
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    typer.echo(f"{done.line} {done.number} is offered to {done.percent} % of the devices")
    for path, size_bytes in done.sizes.items():
        typer.echo(f"{path}: {size_bytes:,} bytes")


def rollout_command(  # noqa: PLR0913 - each is a flag
    line: Annotated[str, typer.Argument(help="Which drafts.")],
    repository: Where,
    keys: Annotated[
        Path | None, typer.Option(help="Folder of the online key; not needed to look.")
    ] = None,
    percent: Annotated[
        int | None, typer.Option(min=0, max=100, help="Offer the newest to this share.")
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Offer it to nobody.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Offer it again.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Make it everybody's.")] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take it back, or else what is everybody's.")
    ] = False,
    release: Annotated[
        int | None, typer.Option(min=1, help="Take back this one; with --withdraw.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show who is offered which release of a line, or change it."""
    steps: list[Callable[[LineState], LineState]] = []
    if percent is not None:
        steps.append(lambda state: state.stage(percent))
    wanted: tuple[tuple[bool, Callable[[LineState], LineState]], ...] = (
        (hold, LineState.hold),
        (resume, LineState.resume),
        (promote, LineState.promote),
        (withdraw, lambda state: state.withdraw(release)),
    )
    steps += [step for given, step in wanted if given]
    if len(steps) > 1:
        raise typer.BadParameter("one step at a time")
    if release is not None and not withdraw:
        raise typer.BadParameter("--release says what to --withdraw")
    place = Repository(open_destination(repository))
    if not steps:
        _tell(line, line_state(line, place), as_json)
    elif keys is None:
        raise typer.BadParameter("a change needs --keys")
    else:
        _tell(line, roll_out(line, steps[0], place, KeyFolder(keys)), as_json)


def _tell(name: str, state: LineState, as_json: bool) -> None:
    line = state.line
    if as_json:
        former: dict[str, Any] = {"highest": state.highest, "former": state.former}
        typer.echo(json.dumps(line.model_dump() | former))
        return
    typer.echo(f"{name}: {line.stable or 'nothing'} is everybody's")
    if line.next is not None:
        held = ", on hold" if line.held else ""
        typer.echo(f"{line.next} is offered to {line.percent} % of the devices{held}")
    if state.former:
        typer.echo(f"before: {', '.join(map(str, state.former))}")
    if line.withdrawn:
        typer.echo(f"withdrawn: {', '.join(map(str, line.withdrawn))}")
