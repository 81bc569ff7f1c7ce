"""Local mode: the draft writes alone and nothing leaves the device.

The same shape as `Speculation`, without a cloud: drafting jobs go out, expansions come in, every
token stands at once and is marked unverified.
"""

from collections.abc import Sequence

from outrider_edge.draft import Detail, Expansion, Leaf
from outrider_edge.events import Event, Origin, Written
from outrider_edge.request import Request
from outrider_edge.speculate import Job, Tally
from outrider_protos.words import FinishReason


class Solo:
    """One generation by the draft alone."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.log = list(request.log)
        self.finished: FinishReason | None = None
        self.tally = Tally()
        self._node = 0
        self._parent = 0
        self._events: list[Event] = []

    def job(self) -> Job | None:
        if self.finished is not None:
            return None
        leaf = Leaf(node=self._node, parent=self._parent, token=self.log[-1])
        log = self.log if self._node == 0 else None
        return Job(log, self._node, (leaf,), Detail())

    def drafted(self, _job: Job, expansions: Sequence[Expansion], _elapsed_s: float) -> None:
        token = expansions[0].candidates[0].token
        self._events.append(Written(len(self.log), token, Origin.UNVERIFIED))
        self.log.append(token)
        self._parent, self._node = self._node, self._node + 1
        self.tally.by_draft += 1
        self.tally.drafted += 1
        self.finished = self.request.end_of(self.log)

    def stop_drafting(self) -> None:
        self.finished = FinishReason.CONTEXT

    def cancel(self) -> None:
        self.finished = FinishReason.CANCELLED

    def events(self) -> list[Event]:
        events, self._events = self._events, []
        return events
