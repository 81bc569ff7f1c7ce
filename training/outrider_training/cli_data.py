"""The commands about records: `generate` and `data`. They join what others do and print it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from outrider_cloud.records.shards import Shard, Store
from outrider_cloud.records.writer import ShardWriter
from outrider_cloud.shipped import resolve
from outrider_edge.questions import read_questions
from outrider_protos.words import Sampling
from outrider_training.data import Damaged, inspect, shards
from outrider_training.generate import OFFLINE_TENANT, Generate, generate

_WIDE: Final = 80  # columns of a terminal that holds every column

data = typer.Typer(no_args_is_help=True, help="Records that drafts learn from.")

StoreArgument = Annotated[str, typer.Argument(metavar="STORE", help="A folder or URL of shards.")]
TenantFlag = Annotated[str | None, typer.Option(help="Only this tenant's.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


def generate_command(  # noqa: PLR0913 - each is a flag
    target: Annotated[str, typer.Option(help="A transformers folder, a hub id, or demo.")],
    prompts: Annotated[
        Path, typer.Option(help='JSON lines with "prompt" and perhaps "domain", or plain lines.')
    ],
    output: Annotated[str, typer.Option(help="A folder or URL that gets the shards.")],
    max_tokens: Annotated[int, typer.Option(min=1, help="Of one answer.")] = 256,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    top_k: Annotated[int | None, typer.Option(min=1)] = None,
    top_p: Annotated[float | None, typer.Option(min=1e-6, max=1)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first prompt; others count on.")] = 0,
    raw: Annotated[bool, typer.Option("--raw", help="Without the chat template.")] = False,
    domain: Annotated[str | None, typer.Option(help="Of prompts that name none.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose records these are.")] = OFFLINE_TENANT,
    at_once: Annotated[int, typer.Option(min=1, help="Texts in one forward.")] = 16,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Let a target answer prompts, and keep what it thought at every position."""
    wish = Generate(
        target=resolve(target),
        questions=read_questions(prompts),
        sampling=Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed),
        max_tokens=max_tokens,
        raw=raw,
        domain=domain,
        tenant=tenant,
        at_once=at_once,
        device=device,
    )
    with (
        _progress() as progress,
        ShardWriter(Store(output)) as writer,
    ):
        task = progress.add_task("texts", total=len(wish.questions))
        tokens = generate(wish, writer, lambda _: progress.advance(task))
    counts = {"records": len(wish.questions), "tokens": tokens, "shards": writer.shards}
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        typer.echo(", ".join(f"{what}: {count:,}" for what, count in counts.items()))


@data.command("list")
def list_command(
    store: StoreArgument, tenant: TenantFlag = None, as_json: JsonFlag = False
) -> None:
    """Every shard, the oldest first."""
    found = list(shards(Store(store), tenant))
    if not found:
        typer.echo("no shards there", err=True)
    if as_json:
        typer.echo(json.dumps({"shards": [asdict(each) for each in found]}))
        return
    table = _table("shard", "tenant", "records", "bytes")
    for each in found:
        name = each.path.rsplit("/", 1)[-1]
        match each:
            case Shard(tenant=owner, records=records, size_bytes=size):
                table.add_row(name, owner, f"{records:,}", f"{size:,}")
            case Damaged(problem=problem):
                table.add_row(problem)
    Console().print(table, highlight=False)


@data.command("inspect")
def inspect_command(
    store: StoreArgument, tenant: TenantFlag = None, as_json: JsonFlag = False
) -> None:
    """What the records are: whose, of which domain and target, how many, how they came about."""
    found = inspect(Store(store), tenant)
    if as_json:
        typer.echo(
            json.dumps({"kinds": found.rows(), "damaged": [asdict(d) for d in found.damaged]})
        )
        return
    wide = Console().width >= _WIDE
    models = ("target", "tokenizer") if wide else ()
    table = _table("tenant", "domain", *models, "mode", "records", "tokens", "accepted")
    for kind, total in sorted(found.totals.items()):
        proposed = total.accepted + total.corrected
        share = f"{total.accepted / proposed:.2f}" if proposed else ""
        counts = (f"{total.records:,}", f"{total.tokens:,}", share)
        names = (kind.target, kind.tokenizer[:8]) if wide else ()
        table.add_row(kind.tenant, kind.domain, *names, kind.mode, *counts)
    Console().print(table, highlight=False)
    for each in found.damaged:
        typer.echo(each.problem, err=True)


@data.command("delete")
def delete_command(
    store: StoreArgument,
    tenant: Annotated[str, typer.Option(help="Whose records go.")],
    as_json: JsonFlag = False,
) -> None:
    """Remove all of a tenant's records, for good.

    Answers that a running cloud still gathers (`serve --records-every-s`) come later.
    """
    removed = Store(store).delete(tenant)
    if as_json:
        typer.echo(json.dumps({"removed_bytes": removed}))
    elif removed:
        typer.echo(f"removed {removed:,} bytes")
    else:
        typer.echo(f"there was nothing of {tenant!r}")


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        number = heading in ("records", "bytes", "tokens", "accepted")
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    return table


def _progress() -> Progress:
    """On standard error, and only for people who watch."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    )
