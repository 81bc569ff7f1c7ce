"""An answer told while it is written: into a pipe, onto a terminal, and when it breaks off."""

import io
import signal
import threading
from types import FrameType

import pytest

from outrider_edge.answer import Answer, Result
from outrider_edge.errors import Cancelled, CloudUnavailable, EdgeError
from outrider_edge.events import Confirmed, Event, Origin, RolledBack, Written
from outrider_edge.generation import Outcome
from outrider_edge.ledger import Traffic
from outrider_edge.speculate import Tally
from outrider_edge.telling import tell
from outrider_edge.text import Typist
from outrider_protos.words import FinishReason, Sampling
from tests.simulators.terminal import Terminal

START = 3


class Script:
    """An answer of letters, one token each."""

    def __init__(self, *, stop: tuple[str, ...] = ()) -> None:
        typist = Typist(lambda token: chr(token).encode(), START)
        self.answer = Answer(typist, Sampling(), stop, verified=True)
        self.log = [0] * START

    def write(self, text: str, origin: Origin = Origin.TARGET) -> None:
        events: list[Event] = []
        for letter in text:
            events.append(Written(len(self.log), ord(letter), origin))
            self.log.append(ord(letter))
        self.answer.deliver([*events, Confirmed(len(self.log))])

    def propose(self, text: str) -> None:
        at = len(self.log)
        self.answer.deliver(
            [Written(at + i, ord(c), Origin.PROVISIONAL) for i, c in enumerate(text)]
        )

    def roll_back(self) -> None:
        self.answer.deliver([RolledBack(len(self.log))])

    def end(self, error: EdgeError | None = None, reason: FinishReason | None = None) -> Answer:
        outcome = Outcome(
            log=tuple(self.log),
            tail=(),
            reason=reason or FinishReason.END_TOKEN,
            tally=Tally(),
            choices={},
            error=error,
        )
        self.answer.conclude(outcome, Traffic(0, 0), 1.0)
        self.answer.finish()
        return self.answer


class Tty(io.StringIO):
    """A stream that says it is a terminal and shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.terminal = Terminal(20)

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.terminal.feed(text)
        return len(text)


class Interrupting(io.StringIO):
    """A stream whose reader presses Ctrl-C at the first text."""

    def __init__(self) -> None:
        super().__init__()
        self.pressed = threading.Event()

    def write(self, text: str) -> int:
        if text and not self.pressed.is_set():
            self.pressed.set()
            raise KeyboardInterrupt
        return super().write(text)


@pytest.fixture(autouse=True)
def capable_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")


def scripted() -> Script:
    script = Script()
    script.propose("hullo")
    script.roll_back()
    script.write("hello")
    script.propose(" wurld")
    script.roll_back()
    script.write(" world")
    return script


def test_a_pipe_gets_settled_text_only_and_one_newline_at_the_end() -> None:
    pipe = io.StringIO()
    result: Result = tell(scripted().end(), pipe)
    assert pipe.getvalue() == "hello world\n"
    assert result.text == "hello world"


def test_a_terminal_is_left_with_the_settled_text() -> None:
    tty = Tty()
    tell(scripted().end(), tty)
    assert tty.terminal.rows == ["hello world"]
    assert tty.terminal.dimmed == ""


def test_a_dumb_terminal_is_treated_as_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    tty = Tty()
    tell(scripted().end(), tty)
    assert tty.terminal.rows == ["hello world"]


@pytest.mark.parametrize("stream", [io.StringIO(), Tty()], ids=["pipe", "terminal"])
def test_what_stands_is_shown_before_the_error_is_raised(stream: io.StringIO) -> None:
    script = Script(stop=("ox",))
    script.write("hello")  # its o might become a stop string
    with pytest.raises(CloudUnavailable):
        tell(script.end(CloudUnavailable("gone")), stream)
    shown = stream.terminal.rows if isinstance(stream, Tty) else [stream.getvalue().rstrip()]
    assert shown == ["hello"]


def test_ctrl_c_cancels_and_shows_what_stands() -> None:
    script = Script()
    script.write("one")

    def cancelled() -> None:
        script.write(" two")
        script.end(reason=FinishReason.CANCELLED)

    script.answer.on_cancel(cancelled)
    stream = Interrupting()
    with pytest.raises(Cancelled):
        tell(script.answer, stream)
    assert stream.getvalue() == "one two\n"


def test_ctrl_c_ends_a_silent_wait_as_well() -> None:
    def press(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    script = Script()

    def cancelled() -> None:
        script.end(reason=FinishReason.CANCELLED)

    script.answer.on_cancel(cancelled)
    before = signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(Cancelled):
            tell(script.answer, None)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert script.answer.result().reason is FinishReason.CANCELLED
