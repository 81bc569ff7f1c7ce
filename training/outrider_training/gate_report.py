"""A gate's report as JSON, as a page with plots, and in a few lines for a terminal."""

import html
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from outrider_training.errors import TargetUnwritableError
from outrider_training.examination import Report
from outrider_training.gate import Comparison

_COLUMNS = ("domain", "answers", "acceptance", "tokens a round", "tokens/s", "difference")


def report_json(report: Report) -> str:
    """Canonical: keys in order, no spaces, so that a signature fits whoever writes it."""
    values = asdict(report)
    values["verdict"]["passed"] = report.verdict.passed
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """`gate.json` and `gate.html`. Raises TargetUnwritableError."""
    written = (folder / "gate.json", folder / "gate.html")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(written, (report_json(report), _page(report)), strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TargetUnwritableError(folder, error.strerror or str(error)) from error
    return written


def table_rows(report: Report) -> list[tuple[str, ...]]:
    """All domains, then all together; old values before new ones."""
    comparisons: Mapping[str, Comparison] = {
        **report.verdict.domains,
        "all": report.verdict.overall,
    }
    return [
        (
            name or "-",
            f"{found.answers:,}",
            f"{found.old.acceptance:.3f} → {found.new.acceptance:.3f}",
            f"{found.old.tokens_per_round:.2f} → {found.new.tokens_per_round:.2f} "
            f"({found.tokens_per_round.low:+.2f} to {found.tokens_per_round.high:+.2f})",
            f"{found.old.tokens_per_s:.0f} → {found.new.tokens_per_s:.0f} "
            f"({found.tokens_per_s.low:+.0f} to {found.tokens_per_s.high:+.0f})",
            f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f})",
        )
        for name, found in comparisons.items()
    ]


def headings() -> tuple[str, ...]:
    """Of `table_rows`."""
    return _COLUMNS


def _page(report: Report) -> str:
    verdict = report.verdict
    word = "passed" if verdict.passed else "refused"
    title = f"The new draft {'passed' if verdict.passed else 'is refused'}"
    objections = "".join(f"<li>{html.escape(text)}</li>" for text in verdict.objections)
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table_rows(report)
    )
    terms = report.terms
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ padding: .3rem .8rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; }}
code {{ overflow-wrap: anywhere; }} svg {{ max-width: 100%; height: auto; }}
.passed {{ color: #06682b; }} .refused {{ color: #a3140d; }}
</style></head><body>
<h1 class="{word}">{title}</h1>
<ul>{objections}</ul>
{_plot(report)}
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
<p>{verdict.overall.answers:,} answers recorded from {_time(report.oldest_s)} to
{_time(report.newest_s)}, replayed by both files under llama.cpp. Left out: {report.not_exact:,}
whose text depends on a draft, {report.trained_on:,} whose prompts the new draft was trained on.
Intervals are where 95 % of the draws of a paired bootstrap fall, always of the difference. A domain
may lose {terms.margin:g}. Tokens a second: {terms.span} proposals a round, the measured draft steps
({1000 * report.steps.old_s:.2f} and {1000 * report.steps.new_s:.2f} ms), and {terms.verify_ms:g} ms
for the target's answer.</p>
<p>New file: <code>{report.new_sha256}</code><br>Current file: <code>{report.old_sha256}</code>
{_base(report)}</p>
</body></html>
"""


def _base(report: Report) -> str:
    if report.base_sha256 is None:
        return ""
    return f"<br>The new file is an adapter over: <code>{report.base_sha256}</code>"


def _plot(report: Report) -> str:
    """Acceptance of both files by domain, and the difference with its interval, as SVG."""
    domains = report.verdict.domains
    figure = Figure(figsize=(9, 1.6 + 0.45 * len(domains)), layout="constrained")
    shares, gains = figure.subplots(1, 2, sharey=True)
    for at, found in enumerate(domains.values()):
        shares.barh(at - 0.2, found.old.acceptance, 0.38, color="lightgray")
        shares.barh(at + 0.2, found.new.acceptance, 0.38, color="tab:blue")
        gains.plot([found.low, found.high], [at, at], color="tab:blue")
        gains.plot(found.difference, at, "o", color="tab:blue")
    shares.set_yticks(range(len(domains)), [name or "-" for name in domains])
    shares.invert_yaxis()
    shares.set_xlim(0, 1)
    shares.set_xlabel("acceptance: current (grey), new (blue)")
    gains.axvline(0, color="black", linewidth=0.8)
    gains.axvline(-report.terms.margin, color="tab:red", linewidth=0.8, linestyle="--")
    gains.set_xlabel("difference, 95 % interval; red: what a domain may lose")
    FigureCanvasSVG(figure)
    drawing = StringIO()
    figure.savefig(drawing, format="svg")
    return drawing.getvalue().partition("<svg")[1] + drawing.getvalue().partition("<svg")[2]


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
