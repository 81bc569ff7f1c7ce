"""What the reader has been shown: settled text and, in Big-Little mode, a provisional tail.

It turns growth of the log and of the draft's text into events, so that the shown text is at every
moment the log followed by the tail. It knows nothing of how either came about.
"""

from collections.abc import Sequence

from outrider_edge.events import Confirmed, Event, Origin, RolledBack, Written


class Show:
    """Positions are log indices; `settle` must be called for each in turn."""

    def __init__(self, length: int, *, provisional: bool) -> None:
        self._settled = length
        self._tail: list[int] = []  # shown tokens from position `_settled` on
        self._provisional = provisional
        self._rolled_back = False
        self._events: list[Event] = []

    @property
    def tail(self) -> Sequence[int]:
        return self._tail

    def settle(self, position: int, token: int, origin: Origin) -> None:
        """The log has this token at this position now."""
        if self._tail and self._tail[0] == token:
            self._tail.pop(0)
        else:
            self._withdraw(position)
            self._events.append(Written(position, token, origin))
        self._settled = position + 1

    def _withdraw(self, position: int) -> None:
        if self._tail:
            self._tail.clear()
            self._rolled_back = True
            self._events.append(RolledBack(position))

    def retract(self) -> None:
        """Nothing past the settled text stands."""
        self._withdraw(self._settled)

    def confirm(self, length: int) -> bool:
        """All before `length` is settled. True if shown text was withdrawn on the way."""
        self._events.append(Confirmed(length))
        rolled_back, self._rolled_back = self._rolled_back, False
        return rolled_back

    def extend(self, tokens: Sequence[int], origin: Origin) -> None:
        """The draft's text past the log is `tokens`: show what is new of it."""
        if not self._provisional:
            return
        for offset in range(len(self._tail), len(tokens)):
            token = tokens[offset]
            self._tail.append(token)
            self._events.append(Written(self._settled + offset, token, origin))

    def take(self) -> list[Event]:
        events, self._events = self._events, []
        return events
