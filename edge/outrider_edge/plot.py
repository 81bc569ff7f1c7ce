"""The Big-Little frontier as a picture. The only importer of matplotlib."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from outrider_edge.errors import BadInput
from outrider_edge.frontier import Point, frontier


def check_place(file: Path) -> None:
    """Before long work: raises BadInput if no file can be made there."""
    if file.is_dir() or not file.resolve().parent.is_dir():
        raise BadInput(f"the plot {file.name} cannot be written: there is no such folder")


def plot_frontier(points: Sequence[Point], chosen: Point | None, file: Path) -> None:
    """Write a PNG. Raises BadInput if the file cannot be written."""
    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("target passes per token")
    axes.set_ylabel("tokens that differ from the target's, %")
    best = frontier(points)
    axes.plot(*_xy(best), color="tab:blue", marker="o", label="frontier", zorder=2)
    rest = [point for point in points if point not in best]
    axes.scatter(*_xy(rest), color="lightgray", label="other thresholds", zorder=1)
    for point in best:
        axes.annotate(
            f"{point.fallback:g} / {point.rollback:g}",
            (point.calls_per_token, 100 * point.disagreement),
            xytext=(6, 4),
            textcoords="offset points",
            fontsize=8,
        )
    if chosen is not None:
        axes.scatter(*_xy([chosen]), s=140, facecolor="none", edgecolor="tab:red", label="chosen")
    axes.set_title("Big-Little: fallback / rollback thresholds", fontsize=10)
    axes.margins(x=0.12, y=0.12)
    axes.legend(fontsize=8)
    FigureCanvasAgg(figure)
    try:
        figure.savefig(file, format="png", dpi=150)
    except OSError as error:
        raise BadInput(f"the plot {file.name} cannot be written: {error.strerror}") from error


def _xy(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [p.calls_per_token for p in points], [100 * p.disagreement for p in points]
