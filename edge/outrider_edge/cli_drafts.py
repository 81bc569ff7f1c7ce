"""The commands `outrider drafts ...`: what is installed, and what should become of it.

They only join what others do.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table

from outrider_edge.config import DeviceConfig, read_config
from outrider_edge.ending import ending, fail, print_json
from outrider_edge.errors import BadInput, BadSettings, StoreFailed
from outrider_edge.exits import EXIT_CODES_HELP, ExitCode
from outrider_edge.flags import ConfigFlag, JsonFlag, with_follow_settings, with_release_settings
from outrider_edge.ledger import Ledger, Meter
from outrider_edge.releases.messenger import keep_word
from outrider_edge.releases.naming import called, named, ordered, short
from outrider_edge.releases.pointer import Pointer, files_of
from outrider_edge.releases.report import Fate
from outrider_edge.releases.settings import UpdateSettings
from outrider_edge.releases.step import MOST_AT_ONCE, State, Step
from outrider_edge.releases.store import DraftStore
from outrider_edge.report import error_json

if TYPE_CHECKING:
    from outrider_edge.releases.installer import Told
    from outrider_edge.releases.step import Phase
    from outrider_edge.updates import Updates

drafts = typer.Typer(no_args_is_help=True, help="Releases of the draft: what is installed here.")


@drafts.command("list", epilog=EXIT_CODES_HELP)
@with_release_settings
def list_command(
    flags: Mapping[str, object], as_json: JsonFlag = False, config: ConfigFlag = None
) -> None:
    """Show the drafts on this device, and which one is in use."""
    with ending(as_json):
        store = _store(flags, config)
        pointer = store.pointer()
        rows = [_row(store, pointer, name) for name in ordered(pointer)]
        if as_json:
            values = [row.__dict__ for row in rows]
            print_json({"pinned": pointer.pinned, "drafts": values, "refused": pointer.refused})
            return
        _print(rows)
        if pointer.pinned:
            print("pinned: nothing new is installed")


@drafts.command("update", epilog=EXIT_CODES_HELP)
@with_release_settings
def update_command(
    flags: Mapping[str, object], as_json: JsonFlag = False, config: ConfigFlag = None
) -> None:
    """Look for a release, install it, and judge a trial by the answers there are.

    A new draft is tried in a process of its own, then on live answers; run this again, or `follow`,
    to have those judged. What was fetched stays, whenever this ends. By hand it does not wait for
    the mains or for another network.
    """
    with ending(as_json):
        updates, meter = _updates(flags, config)
        steps: list[Step] = []
        with progress_bar(as_json=as_json) as progress:
            while not steps or (steps[-1].again and len(steps) < MOST_AT_ONCE):
                steps.append(updates.step(_say(as_json), progress))
                if not as_json:
                    print(steps[-1].text, flush=True)
        step = steps[-1]
        if as_json:
            traffic = meter.traffic
            sizes = {
                "bytes_sent": traffic.bytes_sent,
                "bytes_received": traffic.bytes_received,
            }
            print_json({**_told(step), "steps": [_told(each) for each in steps], **sizes})
        if step.state is State.UNAVAILABLE:
            raise typer.Exit(ExitCode.CLOUD)


def _told(step: Step) -> dict[str, object]:
    return {"state": step.state.value, "release": step.release, "text": step.text}


@drafts.command("follow", epilog=EXIT_CODES_HELP)
@with_follow_settings
def follow_command(flags: Mapping[str, object], config: ConfigFlag = None) -> None:
    """Update in the background of this machine, until SIGTERM or Ctrl-C.

    Looks are spread by chance; on battery and on metered networks they wait. What was fetched
    stays, whenever this ends.
    """
    with ending(False):
        _, settings = _chosen(flags, config)
        if not settings.following.every_s:
            raise BadSettings("update_every_s is 0, so nothing is looked for: give another number")
        updates, _ = _updates(flags, config)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if not updates.follow_until(stop, lambda text: print(text, flush=True)):
            raise typer.Exit(ExitCode.RESOURCES)


@drafts.command("pin", epilog=EXIT_CODES_HELP)
@with_release_settings
def pin_command(
    flags: Mapping[str, object],
    name: Annotated[
        str | None, typer.Argument(help="A number or a digest's beginning.  [the one in use]")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Let releases come again.")] = False,
    config: ConfigFlag = None,
) -> None:
    """Stay with a draft: nothing new is installed."""
    with ending(False):
        if off and name is not None:
            raise BadInput("--off unpins whatever is pinned: name no draft with it")
        store = _store(flags, config)
        with store.changing():
            pointer = store.pointer()
            meant = None if name is None else named(pointer, name)
            pointer = pointer.unpin() if off else pointer.pin(meant)
            store.write(pointer)
        print("unpinned" if off else f"pinned to {called(pointer, pointer.active)}")


@drafts.command("rollback", epilog=EXIT_CODES_HELP)
@with_release_settings
def rollback_command(flags: Mapping[str, object], config: ConfigFlag = None) -> None:
    """Go back to the draft before this one, and never install this one again."""
    with ending(False):
        _, settings = _chosen(flags, config)
        store = _store(flags, config)
        with store.changing():
            before = store.pointer()
            left, pointer = before.number(before.drafting), before.roll_back()
            if left is not None:
                keep_word(store, settings.following.line, left, Fate.REVERTED, ())
            store.write(pointer)
        print(f"back to {called(pointer, pointer.active)}")


@drafts.command("verify", epilog=EXIT_CODES_HELP)
@with_release_settings
def verify_command(
    flags: Mapping[str, object], as_json: JsonFlag = False, config: ConfigFlag = None
) -> None:
    """Compare every installed file with its digest; damaged ones are removed.

    The device then uses an older draft, and fetches again with the next update.
    """
    with ending(as_json):
        store = _store(flags, config)
        with store.changing():
            checked, damaged = store.pointer().kept_files, store.damaged()
            for file in damaged:
                store.remove(file)
            store.write(store.pointer())
        error = _complaint(store, damaged)
        if as_json:
            failure = {} if error is None else {"error": error_json(error)}
            print_json({"checked": len(checked), "damaged": damaged} | failure)
        elif error is None:
            print(f"{len(checked)} checked, all are what they should be")
        if error is not None:
            fail(error, as_json=False)


@dataclass(frozen=True)
class _Row:
    """A draft, as it is shown."""

    draft: str
    release: int | None
    role: str
    bytes: int


def _row(store: DraftStore, pointer: Pointer, name: str) -> _Row:
    roles = ("trial", "active", "previous", "factory")
    role = ", ".join(role for role in roles if getattr(pointer, role) == name)
    size = sum(store.path(file).stat().st_size for file in files_of(name))
    return _Row(name, pointer.number(name), role, size)


def _print(rows: list[_Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("draft", no_wrap=True)
    table.add_column("release", justify="right", overflow="fold")
    table.add_column("role", overflow="fold")
    table.add_column("bytes", justify="right", overflow="fold")
    for row in rows:
        number = "-" if row.release is None else str(row.release)
        table.add_row(short(row.draft), number, row.role, f"{row.bytes:,}")
    Console().print(table, highlight=False)


def _chosen(flags: Mapping[str, object], file: Path | None) -> tuple[DeviceConfig, UpdateSettings]:
    config = read_config(flags, file, os.environ)
    settings = config.update_settings()
    if settings is None:
        raise BadSettings("no releases are followed: name a channel with --channel and --root")
    return config, settings


def _store(flags: Mapping[str, object], file: Path | None) -> DraftStore:
    _, settings = _chosen(flags, file)
    return DraftStore(settings.following.folder, settings.factory)


def _updates(flags: Mapping[str, object], file: Path | None) -> "tuple[Updates, Meter]":
    from outrider_edge.updates import Updates  # which other commands never need

    config, settings = _chosen(flags, file)
    meter = Meter()
    return Updates(settings, meter, Ledger(config.ledger)), meter


def _complaint(store: DraftStore, damaged: list[str]) -> StoreFailed | None:
    if not damaged:
        return None
    pointer, names = store.pointer(), ", ".join(short(file) for file in damaged)
    return StoreFailed(f"damaged: {names}; in use now: {called(pointer, pointer.active)}")


def _say(as_json: bool) -> "Callable[[Phase], None]":
    def say(phase: "Phase") -> None:
        if not as_json and sys.stderr.isatty():
            print(phase.value, file=sys.stderr, flush=True)

    return say


@contextmanager
def progress_bar(*, as_json: bool) -> "Iterator[Told]":
    """For who watches: on a terminal, and where no program reads."""
    shown = not as_json and sys.stderr.isatty()
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("", visible=False)
        yield lambda there, of: bar.update(task, completed=there, total=of, visible=True)
