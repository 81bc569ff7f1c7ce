"""One answer while it is written: iterate over it for text, over its events for all that happens.

It stands between the draft's thread, which delivers, and the caller's thread or event loop, which
reads. It knows text and events, not how they come about.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from outrider_edge.errors import EdgeError
from outrider_edge.events import Confirmed, Event, Origin
from outrider_edge.generation import Outcome
from outrider_edge.ledger import Traffic
from outrider_edge.speculate import Tally
from outrider_edge.text import TextEvent, Token, Typist
from outrider_protos.words import FinishReason, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished answer."""

    text: str  # all that was delivered
    unverified: str  # the end of `text` that the target has not judged
    unverified_tokens: int
    reason: FinishReason | None
    sampling: Sampling  # seed included
    prompt: tuple[int, ...]  # token ids
    tokens: tuple[int, ...]  # of the answer, delivered
    origins: tuple[Origin, ...]  # of each of `tokens`
    choices: dict[int, int]  # position -> the target's choice there, where asked for
    tally: Tally
    traffic: Traffic
    seconds: float


class Answer:
    """Read it once: as text (`for piece in answer`), as events, or wait for the `result`.

    All readings raise the error that ended the answer, after what came before it.
    """

    def __init__(
        self, typist: Typist, sampling: Sampling, stop: Sequence[str], *, verified: bool
    ) -> None:
        self._typist = typist
        self._sampling = sampling
        start = self._start = typist.end
        self._stop = [s for s in stop if s]
        self._verified = verified  # False in local mode: no verdict will come
        self._settled = start
        self._origins: dict[int, Origin] = {}
        self._events: deque[TextEvent] = deque()
        self._condition = threading.Condition()
        self._listener: Callable[[], None] | None = None
        self._result: Result | None = None
        self._error: EdgeError | None = None
        self._done = False
        self._cut_at: int | None = None  # character of the answer at which a stop string begins
        self._cancel: Callable[[], None] = lambda: None

    # ---- written by the draft's thread

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel

    def deliver(self, events: Sequence[Event]) -> None:
        """Take events of the loop, in order."""
        if not events or self._cut_at is not None:
            return
        typed = [self._typist.type(event) for event in events]
        for event in typed:
            if isinstance(event, Token):
                self._origins[event.position] = event.origin
            if isinstance(event, Confirmed):
                self._confirm(event.length)
        if not self._verified:
            self._settled = self._typist.end
        self._find_stop()
        with self._condition:
            self._events.extend(typed)
            self._notify_locked()

    def _confirm(self, length: int) -> None:
        for position in range(self._settled, length):
            if self._origins.get(position) in (Origin.PROVISIONAL, Origin.UNVERIFIED):
                self._origins[position] = Origin.DRAFT
        self._settled = length

    def _find_stop(self) -> None:
        if not self._stop:
            return
        text = self._typist.text(self._start, self._settled)
        found = [at for s in self._stop if (at := text.find(s)) >= 0]
        if found:
            self._cut_at = min(found)
            self._cancel()

    def conclude(self, outcome: Outcome, traffic: Traffic, seconds: float) -> Result:
        """The generation ended, nothing more is delivered; readers learn of it by `finish`."""
        log_end = len(outcome.log)
        tokens = self._shown(outcome.log[self._start :] + outcome.tail)
        text = self._typist.text(self._start, log_end)[: self._cut_at]
        tail = "" if self._cut_at is not None else self._typist.text(log_end, self._typist.end)
        unverified = 0 if self._cut_at is not None else len(outcome.tail)
        self._error = outcome.error
        self._result = Result(
            text=text + tail,
            unverified=tail if self._verified else text,
            unverified_tokens=unverified if self._verified else len(tokens),
            reason=FinishReason.STOP_TOKEN if self._cut_at is not None else outcome.reason,
            sampling=self._sampling,
            prompt=outcome.log[: self._start],
            tokens=tokens,
            origins=tuple(
                self._origins.get(self._start + i, Origin.TARGET) for i in range(len(tokens))
            ),
            choices=outcome.choices,
            tally=outcome.tally,
            traffic=traffic,
            seconds=seconds,
        )
        return self._result

    def _shown(self, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """Those whose text begins before a stop string does."""
        cut_at, start = self._cut_at, self._start
        if cut_at is None:
            return tokens
        beginnings = (len(self._typist.text(start, start + i)) for i in range(len(tokens)))
        return tokens[: sum(begin < cut_at for begin in beginnings)]

    def finish(self) -> None:
        """Let the readers have the end."""
        with self._condition:
            self._done = True
            self._notify_locked()

    def _notify_locked(self) -> None:
        self._condition.notify_all()
        if (listener := self._listener) is not None:  # a reader may take it away meanwhile
            listener()

    # ---- read by the caller

    def cancel(self) -> None:
        """Stop writing soon; what stands by then is the answer."""
        self._cancel()

    @property
    def partial(self) -> Result | None:
        """What an answer that failed came to; None while it is being written."""
        return self._result

    def wait(self) -> None:
        """Until it has ended, one way or the other."""
        with self._condition:
            self._condition.wait_for(lambda: self._done)

    def result(self) -> Result:
        """Wait for the end. Raises the error that ended the answer; see `partial`."""
        self.wait()
        return self._outcome()

    def _outcome(self) -> Result:
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def events(self) -> Iterator[TextEvent]:
        """Every event, provisional text and its withdrawal included."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._events or self._done)
                if not self._events:
                    break
                event = self._events.popleft()
            yield event
        self._outcome()

    def __iter__(self) -> Iterator[str]:
        """Settled text in pieces; a tail delivered unverified comes last."""
        reader = _Settled(self)
        for event in self.events():
            if piece := reader.read(event):
                yield piece
        if piece := reader.rest():
            yield piece

    async def aevents(self) -> AsyncIterator[TextEvent]:
        """`events`, for an event loop."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        self._listener = lambda: _tell(loop, ready)
        try:
            while True:
                ready.clear()
                while self._events:
                    yield self._events.popleft()
                if self._done and not self._events:
                    break
                await ready.wait()
        finally:
            self._listener = None
        self._outcome()

    async def __aiter__(self) -> AsyncIterator[str]:
        reader = _Settled(self)
        async for event in self.aevents():
            if piece := reader.read(event):
                yield piece
        if piece := reader.rest():
            yield piece

    async def aresult(self) -> Result:
        """`result`, for an event loop."""
        async for _ in self.aevents():
            pass
        return self._outcome()

    @property
    def settled_text(self) -> str:
        """What will not change any more, stop strings cut off, possible beginnings held back."""
        text = self._typist.text(self._start, self._settled)
        if self._cut_at is not None or self._done:
            return text[: self._cut_at]
        return text[: len(text) - self._held_back(text)]

    def _held_back(self, text: str) -> int:
        """Length of the longest end of the text that may become a stop string."""
        sizes = [n for s in self._stop for n in range(1, len(s)) if text.endswith(s[:n])]
        return max(sizes, default=0)


class _Settled:
    """How much of the settled text one reader has been given."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._given = 0

    def read(self, event: TextEvent) -> str:
        if isinstance(event, Token) and event.origin is not Origin.UNVERIFIED:
            return ""
        return self._take(self._answer.settled_text)

    def rest(self) -> str:
        return self._take(self._answer.result().text)

    def _take(self, text: str) -> str:
        piece = text[self._given :]
        self._given = max(self._given, len(text))
        return piece


def _tell(loop: asyncio.AbstractEventLoop, ready: asyncio.Event) -> None:
    """A loop that has ended waits for nothing any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(ready.set)
