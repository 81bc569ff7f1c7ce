"""What the demo found out, for people and for programs. It measures nothing."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from outrider_edge.demo import DEMO_OPTIONS, EXACT_SHAPE, DemoReport, Figures, Shown
from outrider_edge.events import Origin
from outrider_edge.options import BIG_LITTLE_SPAN
from outrider_edge.report import Json
from outrider_edge.screen import visible

_WIDE = 70  # columns that the table needs
_STYLES = {
    Origin.DRAFT: "green",
    Origin.TARGET: "bold cyan underline",
    Origin.PROVISIONAL: "dim",
    Origin.UNVERIFIED: "yellow italic",
}
_MEANINGS = {
    Origin.DRAFT: "proposed here, let stand by the target",
    Origin.TARGET: "written by the target",
    Origin.UNVERIFIED: "written here, not judged",
}
# Where there are no colours and no underlining, marks say the same.
_MARKS = {Origin.TARGET: ("‹", "›"), Origin.UNVERIFIED: ("«", "»")}


def demo_json(report: DemoReport) -> Json:
    comparison = report.comparison
    return {
        "modes": {
            mode.value.replace("-", "_"): {
                "accuracy": figures.accuracy,
                "tokens_per_s": figures.tokens_per_s,
                "acceptance": figures.acceptance,
                "target_passes_per_token": figures.target_passes_per_token,
                "bytes_per_token": figures.bytes_per_token,
            }
            for mode, figures in report.modes.items()
        },
        "exact_mismatches": comparison.mismatches if comparison else None,
        "near_ties": comparison.near_ties if comparison else None,
    }


def print_demo(report: DemoReport, console: Console) -> None:
    table = _table if console.width >= _WIDE else _blocks
    console.print(_conditions(), highlight=False)
    console.print()
    console.print(table(report), highlight=False)
    console.print()
    console.print(_verdict(report), highlight=False)
    console.print()
    _print_sample(report.sample, console)


def _conditions() -> str:
    fallback, rollback = DEMO_OPTIONS.fallback.threshold, DEMO_OPTIONS.rollback.threshold
    return (
        f"Greedy, infinite patience. Exact sends {EXACT_SHAPE.span} tokens at a time and drafts at "
        f"most {EXACT_SHAPE.window} ahead; big-little asks when its confidence falls below "
        f"{fallback:g} or after {BIG_LITTLE_SPAN} tokens, and is corrected above {rollback:g} nats."
    )


_HEADINGS = (
    "right answers",
    "tokens/s",
    "acceptance",
    "passes/token",
    "bytes/token",
)


def _cells(figures: Figures) -> tuple[str, ...]:
    return (
        f"{figures.right}/{figures.answers}",
        f"{figures.tokens_per_s:.1f}",
        f"{figures.acceptance:.2f}",
        f"{figures.target_passes_per_token:.2f}",
        f"{figures.bytes_per_token:.1f}",
    )


def _table(report: DemoReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("mode")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    for mode, figures in report.modes.items():
        table.add_row(mode.value, *_cells(figures))
    return table


def _blocks(report: DemoReport) -> Text:
    """For narrow terminals: one figure a line."""
    blocks = [
        "\n".join(
            [mode.value]
            + [f"  {h:<20} {c:>7}" for h, c in zip(_HEADINGS, _cells(figures), strict=True)]
        )
        for mode, figures in report.modes.items()
    ]
    return Text("\n".join(blocks))


def _verdict(report: DemoReport) -> str:
    comparison = report.comparison
    if comparison is None:
        return "Exact mode did not run, so it was not compared with the target alone."
    if not comparison.mismatches:
        return (
            f"Exact mode: all {comparison.answers} answers are token for token those of the "
            "target alone."
        )
    return (
        f"Exact mode differs from the target alone at {comparison.mismatches} positions, of which "
        f"{comparison.near_ties} are near-ties (gap below {comparison.epsilon:.2g})."
    )


def _print_sample(sample: Shown, console: Console) -> None:
    marked = console.color_system is None  # a pipe, or a terminal without styles
    present = [origin for origin in _MEANINGS if origin in sample.result.origins]
    console.print(Text(visible(sample.question.prompt), style="bold"))
    console.print(_coloured(sample, marked=marked))
    console.print()
    for origin in present:
        name = Text.assemble((origin.value, _STYLES[origin]))
        console.print(
            Text.assemble(_mark(name, origin) if marked else name, " ", _MEANINGS[origin])
        )


def _coloured(sample: Shown, *, marked: bool) -> Text:
    """The answer, each token in the style of its origin; runs of one origin share their marks."""
    text = Text()
    run, runs_origin = Text(), None
    for piece, origin in zip(sample.pieces, sample.result.origins, strict=False):
        if origin is not runs_origin:
            text.append_text(_mark(run, runs_origin) if marked else run)
            run, runs_origin = Text(), origin
        run.append(visible(piece), style=_STYLES[origin])
    return text.append_text(_mark(run, runs_origin) if marked else run)


def _mark(text: Text, origin: Origin | None) -> Text:
    left, right = _MARKS.get(origin, ("", "")) if origin and text else ("", "")
    return Text.assemble(left, text, right)
