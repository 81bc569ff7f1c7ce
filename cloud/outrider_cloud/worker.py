"""The one thread that owns the verifier and the model, and the way in and out of it.

Whatever arrives is a job in the thread's inbox; whatever the verifier says leaves in one batch a
turn, handed to the event loop. It knows neither gRPC nor protobuf, and decides nothing: when to
judge and what to say is the verifier's business.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from outrider_cloud.engine import Engine
from outrider_cloud.errors import BusyError, EngineError, PeerError
from outrider_cloud.load import Load
from outrider_cloud.log import place
from outrider_cloud.recorder import Recorder
from outrider_cloud.trace import Trace
from outrider_cloud.verifier import Plan, Say, Verifier
from outrider_protos.words import CloudWord, DeviceWord

_LOG = logging.getLogger(__name__)

HELD_ROWS = 64  # logits that wait to be looked at together, unless there is a pause before

_Job = Callable[[], None]


class Outlet(Protocol):
    """Where one stream's words go. All calls come on the event loop, in the order they arose."""

    def say(self, word: CloudWord) -> None: ...

    def heard(self, size: int) -> None:
        """`size` bytes of what was handed to the worker are dealt with: there is room again."""

    def end(self, error: Exception) -> None:
        """The verifier has let the stream go; nothing more will be said."""


class Worker:
    """The model thread. Public methods are called on the event loop and return at once."""

    def __init__(
        self,
        verifier: Verifier,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        recorder: Recorder | None = None,
    ) -> None:
        self._verifier = verifier
        self._engine = engine
        self._loop = loop
        self._recorder = recorder
        self.load = Load()
        self.crashed: asyncio.Future[None] = loop.create_future()  # done: the thread is dead
        # Not bounded itself: every stream bounds what it hands over, and streams are bounded.
        self._inbox: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._stopping = False
        self._outlets: dict[int, Outlet] = {}  # this and below: the model thread's alone
        self._outgoing: list[_Job] = []
        self._traces: list[Trace] = []  # whose rows the engine holds
        self._heard: dict[Outlet, int] = {}
        self._thread = threading.Thread(target=self._main, name="model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def connect(self, stream: int, owner: str, outlet: Outlet) -> None:
        self._inbox.put(partial(self._connect, stream, owner, outlet))

    def hear(self, stream: int, word: DeviceWord, size: int) -> None:
        self._inbox.put(partial(self._hear, stream, word, size))

    def disconnect(self, stream: int) -> None:
        """The stream is gone; one that has already ended, or never connected, is fine."""
        self._inbox.put(partial(self._disconnect, stream))

    def drain(self, reason: Exception, *, at_once: bool) -> None:
        """Tell streams to go elsewhere, then end them: `at_once` also those with an answer."""
        self._inbox.put(partial(self._drain, reason, at_once=at_once))

    async def stop(self, timeout_s: float) -> None:
        """End the thread after its current turn; one stuck in a forward is left behind, unheard."""
        self._stopping = True
        self._inbox.put(lambda: None)  # wakes it
        await asyncio.to_thread(self._thread.join, timeout_s)

    # Below runs on the model thread.

    def _main(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - nobody else would notice that the thread died
            _LOG.critical("event=worker_crashed error=%s at=%s", type(error).__name__, place(error))
            self._loop.call_soon_threadsafe(self.crashed.set_result, None)

    def _run(self) -> None:
        idle = True
        while not self._stopping:
            self._take(wait=idle)
            idle = not self._turn()
        self._record()

    def _take(self, *, wait: bool) -> None:
        if wait:
            try:
                self._inbox.get(timeout=self._pause_s())()
            except queue.Empty:
                return
        # Only what is there now: a flood of words must not keep the model waiting.
        for _ in range(self._inbox.qsize()):
            self._inbox.get()()

    def _pause_s(self) -> float | None:
        wake_at_s = self._verifier.wake_at_s()
        return None if wake_at_s is None else max(0.0, wake_at_s - time.monotonic())

    def _turn(self) -> bool:
        """One forward, if the verifier wants one; says whether it did."""
        plan = self._verifier.plan(time.monotonic())
        if plan is None:
            self._flush()
            self._record()
            return False
        if self._outgoing:
            self._flush()
        self._forward(plan)
        return True

    def _forward(self, plan: Plan) -> None:
        for session in plan.releases:
            self._engine.release(session)
        if not plan.works:
            return
        start_s = time.monotonic()
        self.load.begin(start_s)
        try:
            verdicts = self._engine.forward(plan.works)
        except EngineError as error:
            _LOG.error("event=forward_failed error=%s at=%s", type(error).__name__, place(error))
            self._tell(self._verifier.abandon(plan, time.monotonic()))
            return
        finally:
            now_s = time.monotonic()
            self.load.end(now_s)
        applied = self._verifier.apply(plan, verdicts, now_s - start_s, now_s)
        self._tell(applied.says)
        self._flush()  # before the bookkeeping below: the devices wait for this
        if self._recorder is not None:
            self._hold(applied.traces)
        for keep in applied.keeps:
            self._engine.keep(*keep)

    def _hold(self, traces: Sequence[Trace]) -> None:
        for trace in traces:
            self._engine.hold(trace.session, trace.rows)
        self._traces += traces
        if sum(len(trace.rows) for trace in self._traces) >= HELD_ROWS:
            self._record()

    def _record(self) -> None:
        """Hand the held traces over, with what the target thought."""
        if self._recorder is None or not self._traces:
            return
        traces, self._traces = self._traces, []
        parts = self._engine.tops().split([len(trace.rows) for trace in traces])
        for trace, tops in zip(traces, parts, strict=True):
            self._recorder.take(trace, tops)

    def _connect(self, stream: int, owner: str, outlet: Outlet) -> None:
        try:
            self._verifier.connect(stream, owner)
        except BusyError as busy:
            self._outgoing.append(partial(outlet.end, busy))
        else:
            self._outlets[stream] = outlet

    def _hear(self, stream: int, word: DeviceWord, size: int) -> None:
        outlet = self._outlets.get(stream)
        if outlet is None:  # it ended while this word was on its way
            return
        self._heard[outlet] = self._heard.get(outlet, 0) + size
        try:
            says = self._verifier.hear(stream, word, time.monotonic())
        except PeerError as error:
            self._disconnect(stream)
            self._outgoing.append(partial(outlet.end, error))
        else:
            self._tell(says)

    def _disconnect(self, stream: int) -> None:
        if self._outlets.pop(stream, None) is not None:
            self._verifier.disconnect(stream, time.monotonic())

    def _drain(self, reason: Exception, *, at_once: bool) -> None:
        says = self._verifier.drain(at_once=at_once)
        self._tell(says)
        self._outgoing += [partial(self._outlets[say.stream].end, reason) for say in says]

    def _tell(self, says: Sequence[Say]) -> None:
        for say in says:
            outlet = self._outlets.get(say.stream)
            if outlet is not None:
                self._outgoing.append(partial(outlet.say, say.word))

    def _flush(self) -> None:
        if self._stopping or not (self._outgoing or self._heard):
            return
        self._outgoing += [partial(outlet.heard, size) for outlet, size in self._heard.items()]
        self._loop.call_soon_threadsafe(_deliver, self._outgoing)
        self._outgoing, self._heard = [], {}


def _deliver(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job()
