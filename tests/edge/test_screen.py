"""Drawing on a terminal: settled text is left as if nothing else had ever been there."""

from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.screen import Screen, visible
from tests.simulators.terminal import Terminal

TEXT = st.text(alphabet="ab \n日é", max_size=15)
STEPS = st.lists(st.tuples(TEXT, TEXT), max_size=12)


def drawn(columns: int, rows: int = 99) -> tuple[Screen, Terminal]:
    terminal = Terminal(columns)
    return Screen(terminal.feed, lambda: (columns, rows)), terminal


def plain(text: str, columns: int) -> list[str]:
    terminal = Terminal(columns)
    terminal.feed(text)
    return terminal.rows


@given(columns=st.integers(4, 12), steps=STEPS)
def test_what_is_left_is_the_settled_text(columns: int, steps: list[tuple[str, str]]) -> None:
    screen, terminal = drawn(columns)
    settled = ""
    for fresh, tail in steps:
        settled += fresh
        screen.draw(settled, tail)
    screen.close()
    assert terminal.rows == plain(settled, columns)
    assert terminal.dimmed == ""


@given(columns=st.integers(4, 12), steps=STEPS, tail=TEXT)
def test_the_tail_stands_dimmed_after_the_settled_text(
    columns: int, steps: list[tuple[str, str]], tail: str
) -> None:
    screen, terminal = drawn(columns)
    settled = ""
    for fresh, other in [*steps, ("", tail)]:
        settled += fresh
        screen.draw(settled, other)
    assert terminal.rows == plain(settled + tail, columns)
    assert terminal.dimmed.replace(" ", "") == "".join(tail.split())


def test_a_tail_taller_than_the_terminal_is_cut() -> None:
    screen, terminal = drawn(columns=4, rows=3)
    screen.draw("ab", "c" * 40)
    assert terminal.rows == ["abcc", "cccc"]
    screen.draw("abX", "")
    assert terminal.rows == ["abX"]


def test_control_characters_of_a_model_never_reach_the_terminal() -> None:
    screen, terminal = drawn(columns=40)
    screen.draw("a\x1b[2Jb\x07\x9b\r", "\x1bc")
    assert terminal.rows == ["a␛[2Jb␇\N{REPLACEMENT CHARACTER}␍␛c"]
    assert visible("a\tb\n") == "a    b\n"
