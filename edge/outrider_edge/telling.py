"""How an answer is told while it is written: drawn on a terminal, streamed into a pipe, or kept.

It reads events and writes text. What is said about the answer afterwards is `report`'s business.
"""

import os
import shutil
from collections.abc import Callable
from typing import TextIO

from outrider_edge.answer import Answer, Result
from outrider_edge.errors import Cancelled, EdgeError
from outrider_edge.events import RolledBack
from outrider_edge.screen import Screen
from outrider_edge.text import TextEvent, Token


def tell(answer: Answer, stream: TextIO | None) -> Result:
    """Write the answer to the stream (None: nowhere) as it settles; wait for its end.

    Raises the error that ended it, after all that stands was written. Ctrl-C cancels the answer,
    which then ends with Cancelled; a second Ctrl-C goes through.
    """
    follow = _keep if stream is None else _drawn(stream) if draws(stream) else _streamed(stream)
    try:
        follow(answer)
    except KeyboardInterrupt:
        raise Cancelled("interrupted: this is what stands") from None
    return answer.result()


def draws(stream: TextIO) -> bool:
    """Can text on this stream be withdrawn?"""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _keep(answer: Answer) -> None:
    try:
        answer.result()
    except KeyboardInterrupt:
        _stop(answer)
        raise


def _stop(answer: Answer) -> None:
    """Cancel the answer and wait for what stands of it."""
    answer.cancel()
    try:
        answer.result()
    except EdgeError:
        return


def _streamed(stream: TextIO) -> Callable[[Answer], None]:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    def follow(answer: Answer) -> None:
        given, last = 0, "\n"
        try:
            for piece in answer:
                write(piece)
                given, last = given + len(piece), piece[-1]
        except (KeyboardInterrupt, EdgeError):
            _stop(answer)
            assert answer.partial is not None
            rest = answer.partial.text[given:]
            write(rest)
            last = rest[-1:] or last
            raise
        finally:
            write("" if last == "\n" else "\n")

    return follow


def _drawn(stream: TextIO) -> Callable[[Answer], None]:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    def follow(answer: Answer) -> None:
        screen, written = Screen(write, shutil.get_terminal_size), WrittenText()
        try:
            for event in answer.events():
                written.take(event)
                screen.draw(*_halves(answer.settled_text, written.text))
        except KeyboardInterrupt:
            _stop(answer)
            raise
        finally:
            if answer.partial is not None:
                screen.draw(answer.partial.text, "")
            screen.close()

    return follow


def _halves(settled: str, written: str) -> tuple[str, str]:
    """The settled text, which may be ahead of the events read, and what is shown after it."""
    return settled, written[len(settled) :] if written.startswith(settled) else ""


class WrittenText:
    """All text that is written and not withdrawn, token by token."""

    def __init__(self) -> None:
        self.pieces: dict[int, str] = {}  # by position, in order

    def take(self, event: TextEvent) -> None:
        match event:
            case Token(position=position, text=text):
                self.pieces[position] = text
            case RolledBack(to=to):
                self.pieces = {p: text for p, text in self.pieces.items() if p < to}

    @property
    def text(self) -> str:
        return "".join(self.pieces.values())
