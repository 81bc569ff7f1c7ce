"""The command `gate`: two drafts in, a report out, and an exit code that says whether it passed."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from outrider_training.examination import Examination, Report, examine
from outrider_training.gate import Terms
from outrider_training.gate_report import headings, report_json, table_rows, write_report

REFUSED = 3  # exit code


def gate_command(  # noqa: PLR0913 - each is a flag
    new: Annotated[Path, typer.Argument(help="The GGUF file or adapter that would be released.")],
    old: Annotated[Path, typer.Argument(help="The current one.")],
    records: Annotated[str, typer.Option(help="A folder or URL of shards.")],
    base: Annotated[
        Path | None, typer.Option(help="The file that adapters lie over.  [the current one]")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for gate.json and gate.html.")] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Acceptance that a domain may lose.")
    ] = 0.02,
    fewest: Annotated[int, typer.Option(min=1, help="Answers to judge by.")] = 20,
    held_out: Annotated[
        float, typer.Option(min=0.001, max=1, help="Newest share of each domain, as in distil.")
    ] = 0.1,
    span: Annotated[int, typer.Option(min=1, help="Proposals in a round.")] = 8,
    verify_ms: Annotated[
        float, typer.Option(min=0, help="The target's answer, the way included.")
    ] = 40.0,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report instead of a table.")] = False,
) -> None:
    """Judge a new draft by replaying recorded answers it has not learnt from.

    Exit codes: 0 it passed, 1 it could not be judged, 3 it is refused.
    """
    wish = Examination(
        new=new,
        old=old,
        base=base,
        records=records,
        tenant=tenant,
        held_share=held_out,
        terms=Terms(margin=margin, fewest=fewest, span=span, verify_ms=verify_ms),
    )
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn())
    watched = sys.stderr.isatty()
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not watched
    ) as bar:
        task = bar.add_task("")
        found = examine(wish, lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        typer.echo(report_json(found))
    else:
        _tell(found)
    if report is not None:
        for path in write_report(found, report):
            typer.echo(f"wrote {path}", err=True)
    if not found.verdict.passed:
        raise typer.Exit(REFUSED)


def _tell(found: Report) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings():
        justify: Literal["left", "right"] = "left" if heading == "domain" else "right"
        table.add_column(heading, justify=justify, overflow="fold")
    for row in table_rows(found):
        table.add_row(*row)
    Console().print(table, highlight=False)
    for text in found.verdict.objections:
        typer.echo(f"refused: {text}")
    if found.verdict.passed:
        typer.echo("passed")
