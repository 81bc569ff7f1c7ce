"""The command `demo`: the learning loop, watched. It prints and draws; it measures nothing."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from outrider_edge.plot import check_place
from outrider_training.errors import TargetUnwritableError
from outrider_training.learning_demo import (
    STREAM,
    Learning,
    Scale,
    mean_acceptance,
    run_learning,
)

_STRETCH = 20  # questions in a line of the chart
_BAR = 40  # columns of a full bar


def demo_command(
    requests: Annotated[int, typer.Option(min=40, help="Questions in the stream.")] = 320,
    plot: Annotated[Path | None, typer.Option(help="Write the chart to a PNG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Watch a draft learn two domains it does not know, while a device uses it."""
    if plot is not None:
        check_place(plot)
    learning = run_learning(
        Scale(requests=requests), lambda text: None if as_json else print(text, file=sys.stderr)
    )
    if plot is not None:
        draw(learning, plot)
    if as_json:
        typer.echo(json.dumps(learning_json(learning)))
        return
    _chart(learning)
    _table(learning)
    passed = "passed" if learning.verdict.passed else "refused"
    typer.echo(f"{learning.updates} updates in {learning.seconds:.0f} s; gate {passed}")
    for text in learning.verdict.objections:
        typer.echo(text)


def learning_json(learning: Learning) -> dict[str, object]:
    """The figures for programs."""

    def figures(which: str, domain: str) -> dict[str, float]:
        known = getattr(learning, which)[domain]
        return {"acceptance": known.acceptance, "tokens_per_s": known.tokens_per_s}

    return {
        "domains": {
            domain: {which: figures(which, domain) for which in ("before", "after")}
            for domain in learning.before
        },
        "updates": learning.updates,
        "seconds": learning.seconds,
        "gate": {"passed": learning.verdict.passed},
    }


def _chart(learning: Learning) -> None:
    typer.echo(f"acceptance over the stream ({' and '.join(STREAM)} in turn); * a draft swapped in")
    for start in range(0, len(learning.stream), _STRETCH):
        part = learning.stream[start : start + _STRETCH]
        share = mean_acceptance(part)
        stars = "*" * sum(each.updated for each in part)
        bar = "#" * round(_BAR * share)
        typer.echo(f"{start + 1:4d}-{start + len(part):<4d} {share:.2f} {bar:<{_BAR}} {stars}")


def _table(learning: Learning) -> None:
    table = Table("held out", box=None, pad_edge=False, header_style="bold")
    for heading in ("acceptance", "tokens/s"):
        table.add_column(heading, justify="right", overflow="fold")
    for domain, before in learning.before.items():
        after = learning.after[domain]
        table.add_row(
            domain,
            f"{before.acceptance:.3f} → {after.acceptance:.3f}",
            f"{before.tokens_per_s:.0f} → {after.tokens_per_s:.0f}",
        )
    Console().print(table, highlight=False)


def draw(learning: Learning, file: Path) -> None:
    """Acceptance over the stream as a PNG file. Raises TargetUnwritableError."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    for domain in STREAM:
        places = [n for n, each in enumerate(learning.stream) if each.domain == domain]
        values = [learning.stream[n].acceptance for n in places]
        smooth = [
            sum(values[max(0, i - 9) : i + 1]) / len(values[max(0, i - 9) : i + 1])
            for i in range(len(values))
        ]
        axes.plot(places, smooth, label=f"{domain}, mean of ten")
    for number, each in enumerate(learning.stream):
        if each.updated:
            axes.axvline(number, color="gray", linewidth=0.8, linestyle="--")
    axes.set(xlabel="questions (dashed: a better draft is swapped in)", ylabel="acceptance")
    axes.set_ylim(0, 1)
    axes.legend()
    FigureCanvasAgg(figure)
    try:
        figure.savefig(file, format="png", dpi=150)
    except OSError as error:
        raise TargetUnwritableError(file, error.strerror or str(error)) from error
