"""What the device has learnt about its own speed, and how far ahead that makes drafting pay.

A node is worth gathering while its chance to stand, per second it costs, beats the tokens per
second that come anyway: span and window follow from three running figures. It knows no tokens;
times are passed in.
"""

import math

from outrider_edge.policy import Shape

_FIRST_ACCEPTANCE = 0.7
_FIRST_SPAN = 4
_MEMORY = 1 / 32  # weight of the newest observation
# A node costs more than its own decode: the target's rows and the words' way. With this factor the
# rule comes within a few per cent of the best span in the event simulation (bench/ideal.py) for
# draft steps of 0.25 and 4 ms, target steps of 3, 8 and 20 ms, acceptance 0.6 to 0.93, RTT to 100.
_COST_FACTOR = 2.5
_LONGEST_SPAN = 16
_HOPELESS = 0.03  # nodes less likely to stand than this are not drafted
_SHORTEST_WINDOW, _LONGEST_WINDOW = 8, 64


class Tempo:
    """Running figures of one device. Feed it what happened, ask it for span and window."""

    def __init__(self) -> None:
        self.barren = 0  # epochs in a row that brought nothing, see `rest`
        self.rest_commits = 0  # to sit out
        self._acceptance = _FIRST_ACCEPTANCE
        self._draft_s: float | None = None  # per decode
        self._token_s: float | None = None  # per committed token

    @property
    def acceptance(self) -> float:
        """Share of the draft's tokens that turned out to be the log's."""
        return self._acceptance

    def drafted(self, elapsed_s: float) -> None:
        """One decode took this long."""
        self._draft_s = _mixed(self._draft_s, elapsed_s)

    def compared(self, hits: int, misses: int) -> None:
        """So many drafted tokens became the log, and so many positions went another way."""
        for outcome, times in ((1.0, hits), (0.0, misses)):
            for _ in range(times):
                self._acceptance += (outcome - self._acceptance) * _MEMORY

    def committed(self, tokens: int, elapsed_s: float) -> None:
        """A log grew by `tokens`, so long after it last did."""
        if tokens > 0:
            self._token_s = _mixed(self._token_s, elapsed_s / tokens)

    def span(self, shape: Shape) -> int:
        """Nodes to gather before sending: the caller's number, or the one that pays."""
        if shape.span is not None:
            return shape.span
        if not self._draft_s or not self._token_s:
            return _FIRST_SPAN
        least = min(_COST_FACTOR * self._draft_s / self._token_s, 0.99)
        return min(_LONGEST_SPAN, max(1, self._depth(least)))

    def window(self, shape: Shape) -> int:
        """Positions to draft past the log at most."""
        if shape.window is not None:
            return shape.window
        depth = min(_LONGEST_WINDOW, max(_SHORTEST_WINDOW, self._depth(_HOPELESS)))
        return max(depth, shape.span or 0)

    def _depth(self, chance: float) -> int:
        """How deep a node has at least this chance to stand."""
        acceptance = min(max(self._acceptance, 0.05), 0.99)
        return round(math.log(chance) / math.log(acceptance))


def _mixed(old: float | None, new: float) -> float:
    return new if old is None else old + (new - old) * _MEMORY
