"""`outrider chat`: turns in, answers out, on a terminal or through a pipe.

It knows lines and sessions; how an answer is shown and reported is elsewhere.
"""

import json
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from outrider_edge.answer import Result
from outrider_edge.device import Device
from outrider_edge.errors import BadInput, Cancelled, CloudUnavailable, EdgeError
from outrider_edge.exits import advice
from outrider_edge.options import Mode, Options
from outrider_edge.questions import decoded
from outrider_edge.report import answer_json, summary
from outrider_edge.review import review
from outrider_edge.session import Session
from outrider_edge.telling import tell

MAX_LINE_BYTES = 1 << 20
_HELP = "/mode exact|big-little|local|cloud changes the mode, /exit or Ctrl-D leaves"


class Chat:
    """One conversation; `run` returns when its reader has left it."""

    def __init__(self, device: Device, options: Options, *, as_json: bool, quiet: bool) -> None:
        self._device = device
        self._session: Session = device.session(options)
        self._json = as_json
        self._quiet = quiet or as_json
        self._interactive = sys.stdin.isatty() and not as_json
        self._unjudged: Result | None = None  # delivered unverified, to be judged when possible
        self._news: deque[str] = deque(maxlen=8)  # of releases, told between two turns
        device.follow_releases(self._news.append)

    def run(self) -> None:
        """Raises the first error when nobody is there to try something else."""
        self._note(_HELP) if self._interactive else None
        for line in self._lines():
            text = line.strip()
            if text == "/exit":
                return
            if text:
                self._turn(text)
            while self._news:
                self._note(self._news.popleft())

    def _lines(self) -> Iterator[str]:
        if self._interactive:
            import readline  # noqa: F401 - gives `input` editing and a history

            yield from _typed_lines()
        else:
            yield from _piped_lines()

    def _turn(self, text: str) -> None:
        try:
            if text.startswith("/"):
                self._obey(text)
            else:
                self._ask(text)
        except EdgeError as error:
            if not self._interactive:
                raise
            self._note(f"outrider: {error}" + (f"; {hint}" if (hint := advice(error)) else ""))

    def _obey(self, command: str) -> None:
        word, _, argument = command.partition(" ")
        modes = {mode.value: mode for mode in Mode}
        if word != "/mode" or argument.strip() not in modes:
            raise BadInput(f"that is no command: {_HELP}")
        self._change(modes[argument.strip()])

    def _change(self, mode: Mode) -> None:
        """Go on with the same conversation in another mode."""
        old = self._session
        self._session = self._device.session(replace(old.options, mode=mode))
        self._session.messages = old.messages
        old.close()
        self._note(f"mode {mode.value}")

    def _ask(self, text: str) -> None:
        self._review()
        answer = self._session.ask(text)
        try:
            tell(answer, None if self._json else sys.stdout)
        finally:
            result = answer.partial
            if result is not None:
                self._report(result)

    def _report(self, result: Result) -> None:
        """Of an answer that broke off as well; why it did is said by whoever catches the error."""
        if self._json:
            said = answer_json(result, self._session.options.mode)
            print(json.dumps(said, ensure_ascii=False), flush=True)
        self._note(summary(result))
        if result.unverified and self._session.options.mode is Mode.BIG_LITTLE:
            self._unjudged = result

    def _review(self) -> None:
        """Tell what the target says to what was delivered without it, once it can be asked."""
        if self._unjudged is None:
            return
        try:
            found = review(self._device, self._unjudged)
        except CloudUnavailable:
            return
        self._unjudged = None
        self._note(
            f"the target would have written {len(found.differing)} of the "
            f"{len(found.tokens)} unverified tokens differently"
        )

    def _note(self, text: str) -> None:
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)


def _typed_lines() -> Iterator[str]:
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            raise Cancelled("interrupted") from None


def _piped_lines() -> Iterator[str]:
    """Raises BadText, and BadInput for a line without end."""
    number = 0
    while line := sys.stdin.buffer.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise BadInput(f"line {number} is longer than {MAX_LINE_BYTES} bytes")
        yield decoded(line, f"line {number} of standard input")
