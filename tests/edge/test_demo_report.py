"""The demo's findings on paper: wide, narrow, in colour, through a pipe, as JSON."""

import io
from typing import Literal

import pytest
from rich.console import Console

from outrider_edge.answer import Result
from outrider_edge.audit import Audit
from outrider_edge.demo import DemoReport, Figures, Shown, acceptance, pick
from outrider_edge.demo_report import demo_json, print_demo
from outrider_edge.errors import BadInput
from outrider_edge.events import Origin
from outrider_edge.ledger import Traffic
from outrider_edge.options import Mode
from outrider_edge.questions import Question
from outrider_edge.speculate import Tally
from outrider_edge.target_alone import Comparison
from outrider_protos.words import FinishReason, Sampling

PIECES = ("def", " f", "(x", "):", "\n    return", " x")
ORIGINS = (Origin.DRAFT,) * 3 + (Origin.TARGET,) * 2 + (Origin.UNVERIFIED,)
RESULT = Result(
    text="".join(PIECES),
    unverified=PIECES[-1],
    unverified_tokens=1,
    sampling=Sampling(),
    reason=FinishReason.END_TOKEN,
    prompt=(1, 2),
    tokens=(3, 4, 5, 6, 7, 8),
    origins=ORIGINS,
    choices={},
    tally=Tally(),
    traffic=Traffic(10, 20),
    seconds=1.0,
)
FIGURES = Figures(
    right=23,
    answers=24,
    tokens_per_s=1234.5,
    acceptance=0.914,
    target_passes_per_token=0.187,
    bytes_per_token=12.34,
)
EQUAL = Comparison(answers=24, mismatches=0, near_ties=0, epsilon=1e-5)


def report(comparison: Comparison | None = EQUAL) -> DemoReport:
    sample = Shown(Question("Write f, which gives back what it is given.", "x"), RESULT, PIECES)
    return DemoReport(modes=dict.fromkeys(Mode, FIGURES), comparison=comparison, sample=sample)


def printed(found: DemoReport, columns: int, *, colour: bool = False) -> str:
    out = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    print_demo(found, Console(file=out, width=columns, force_terminal=colour, color_system=system))
    return out.getvalue()


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_lost(columns: int) -> None:
    text = printed(report(), columns)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= columns
    for figure in ("23/24", "1234.5", "0.91", "0.19", "12.3"):
        assert text.count(figure) == len(Mode)


def test_without_colours_marks_say_who_wrote_what() -> None:
    text = printed(report(), 80)
    assert "def f(x‹):\n    return›« x»" in text
    assert "\x1b" not in text


def test_with_colours_there_are_no_marks() -> None:
    text = printed(report(), 80, colour=True)
    assert "\x1b[32mdef" in text
    assert "‹" not in text


def test_json_has_the_agreed_keys() -> None:
    assert demo_json(report()) == {
        "modes": {
            mode: {
                "accuracy": 23 / 24,
                "tokens_per_s": 1234.5,
                "acceptance": 0.914,
                "target_passes_per_token": 0.187,
                "bytes_per_token": 12.34,
            }
            for mode in ("exact", "big_little", "local", "cloud")
        },
        "exact_mismatches": 0,
        "near_ties": 0,
    }


def test_mismatches_are_told_with_their_near_ties() -> None:
    differing = Comparison(answers=24, mismatches=3, near_ties=2, epsilon=1e-5)
    text = " ".join(printed(report(differing), 80).split())
    assert "differs from the target alone at 3 positions, of which 2 are near-ties" in text
    assert "was not compared" in printed(report(None), 80)


def test_acceptance_counts_positions_not_answers() -> None:
    audits = [Audit((1, 2, 3), (1, 2, 9), (1, 2, 3)), Audit((1,), (2,), (1,))]
    assert acceptance(audits) == 2 / 4


def test_tasks_are_taken_from_each_domain_in_turn() -> None:
    file = [Question(f"{d}{i}", "x", d) for d in ("english", "sql", "python") for i in range(3)]
    assert [q.prompt for q in pick(file, 2)] == ["english0", "python0", "english1", "python1"]
    for count in (0, 4):
        with pytest.raises(BadInput, match=f"1 to 3 tasks of each domain, not {count}"):
            pick(file, count)
