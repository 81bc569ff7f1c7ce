"""Events with their text. Bytes of a character may be spread over tokens and may be rolled back.

It knows how to decode UTF-8 step by step and step back; it does not know a vocabulary, which is
passed in as a function from token id to bytes.
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass

from outrider_edge.events import Confirmed, Event, Origin, RolledBack, Written

Piece = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Token:
    """A token stands at `position`; `text` is empty while its character is incomplete."""

    position: int
    token: int
    text: str
    origin: Origin


TextEvent = Token | Confirmed | RolledBack


class Typist:
    """Turns events into text events, one position after another from `start` on."""

    def __init__(self, piece: Piece, start: int) -> None:
        self._piece = piece
        self._start = start
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._states = [self._decoder.getstate()]  # before each position
        self._texts: list[str] = []

    def type(self, event: Event) -> TextEvent:
        match event:
            case Written(position, token, origin):
                return Token(position, token, self._decode(position, token), origin)
            case RolledBack(to):
                self._cut(to)
        return event

    def text(self, begin: int, end: int) -> str:
        """The text of the positions from `begin` to before `end`."""
        return "".join(self._texts[begin - self._start : end - self._start])

    @property
    def end(self) -> int:
        """The position after the last token typed."""
        return self._start + len(self._texts)

    def _decode(self, position: int, token: int) -> str:
        self._cut(position)
        text = self._decoder.decode(self._piece(token))
        self._states.append(self._decoder.getstate())
        self._texts.append(text)
        return text

    def _cut(self, position: int) -> None:
        keep = position - self._start
        if keep < len(self._texts):
            del self._texts[keep:]
            del self._states[keep + 1 :]
            self._decoder.setstate(self._states[-1])
