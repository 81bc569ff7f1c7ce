"""What a calibration found out, for people and for programs. It measures nothing."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from outrider_edge.frontier import Point, closest_first, frontier
from outrider_edge.report import Json


def calibration_json(points: Sequence[Point], chosen: Point | None) -> Json:
    best = frontier(points)
    return {
        "points": [asdict(point) | {"on_frontier": point in best} for point in points],
        "chosen": asdict(chosen) if chosen else None,
    }


def print_calibration(points: Sequence[Point], console: Console) -> None:
    """All points, the closest to exact first; a star marks the frontier."""
    best = frontier(points)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("", "fall\nback", "roll\nback", "diff\ners", "calls\n/token", "bytes\n/tok"):
        table.add_column(heading, justify="right", no_wrap=True)
    if any(point.accuracy is not None for point in points):
        table.add_column("right", justify="right", no_wrap=True)
    table.add_column("tok\n/s", justify="right", no_wrap=True)
    for point in closest_first(points):
        row = _cells(point)
        table.add_row("*" if point in best else "", *row, style="" if point in best else "dim")
    console.print(table, highlight=False)
    console.print(
        "* the frontier: no other pair has fewer calls without differing more", highlight=False
    )


def _cells(point: Point) -> list[str]:
    accuracy = [] if point.accuracy is None else [f"{100 * point.accuracy:.0f}%"]
    return [
        f"{point.fallback:g}",
        f"{point.rollback:g}",
        f"{100 * point.disagreement:.1f}%",
        f"{point.calls_per_token:.3f}",
        f"{point.bytes_per_token:.1f}",
        *accuracy,
        f"{point.tokens_per_s:.0f}",
    ]


def choice_text(points: Sequence[Point], chosen: Point | None, max_disagreement: float) -> str:
    """What to write on the command line, or that nothing will do."""
    if chosen is None:
        least = min(point.disagreement for point in points)
        return (
            f"No pair keeps the disagreement at {max_disagreement:g} or below; the least is "
            f"{least:.4f}. Exact mode differs nowhere: --mode exact"
        )
    return (
        f"Cheapest within {max_disagreement:g}: {chosen.calls_per_token:.3f} calls a token, "
        f"{100 * chosen.disagreement:.2f}% of tokens differ. Use\n"
        f"  --mode big-little --fallback {chosen.fallback:g} --rollback {chosen.rollback:g}"
    )
