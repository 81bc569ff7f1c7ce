"""The one thread in which drafts decode. It drives all generations of a device in turn.

It knows neither tokens nor wires: a generation is something with a `step`.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from outrider_edge.errors import Busy, Cancelled, Crashed
from outrider_edge.generation import Generation, Progress

MAX_GENERATIONS = 64
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Worker:
    """Start it once per device; `close` ends it after the step in hand."""

    def __init__(self, name: str = "outrider-draft") -> None:
        self._condition = threading.Condition()
        self._entering: list[tuple[Generation, Callable[[], None]]] = []
        self._running: list[tuple[Generation, Callable[[], None]]] = []
        self._calls: list[Callable[[], None]] = []
        self._woken = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, generation: Generation, on_done: Callable[[], None]) -> None:
        """Drive the generation to its outcome, then call `on_done`. Raises Busy when full,
        Cancelled after the end.
        """
        with self._condition:
            self._check_open_locked()
            if len(self._entering) + len(self._running) >= MAX_GENERATIONS:
                raise Busy(f"the device already runs {MAX_GENERATIONS} generations")
            self._entering.append((generation, on_done))
            self._wake_locked()

    def run(self, function: Callable[[], _T]) -> _T:
        """Run a function in the thread, between steps, and wait: drafts are made there."""
        result: Future[_T] = Future()

        def call() -> None:
            try:
                result.set_result(function())
            except Exception as error:  # noqa: BLE001 - it is the caller's; the thread lives on
                result.set_exception(error)

        with self._condition:
            self._check_open_locked()
            self._calls.append(call)
            self._wake_locked()
        return result.result()

    def check_open(self) -> None:
        """Raises Cancelled after the end."""
        with self._condition:
            self._check_open_locked()

    def _check_open_locked(self) -> None:
        if self._closed:
            raise Cancelled("the device was closed")

    def wake(self) -> None:
        """Something arrived for one of the generations. Any thread may call this."""
        with self._condition:
            self._wake_locked()

    def close(self) -> None:
        """End the thread; generations under way fail, with what stands by then."""
        with self._condition:
            self._closed = True
            self._wake_locked()
        self._thread.join()

    def _wake_locked(self) -> None:
        self._woken = True
        self._condition.notify()

    def _run(self) -> None:
        while self._admit():
            self._round()

    def _admit(self) -> bool:
        with self._condition:
            calls, self._calls = self._calls, []
            self._running += self._entering
            self._entering = []
            closed = self._closed  # from then on nothing enters any more
        for function in calls:
            function()
        if closed:
            for generation, on_done in self._running:
                generation.abandon(Cancelled("the device was closed"))
                self._conclude(on_done)
        return not closed

    def _round(self) -> None:
        """One step for each; when none had work, sleep until something happens."""
        worked = False
        for entry in list(self._running):
            generation, on_done = entry
            progress = self._step(generation)
            worked = worked or progress is Progress.WORKED
            if progress is Progress.DONE:
                self._running.remove(entry)
                self._conclude(on_done)
        if not worked:
            self._sleep()

    def _step(self, generation: Generation) -> Progress:
        try:
            return generation.step(self.wake)
        except Exception as error:  # noqa: BLE001 - a dead thread would leave every reader waiting
            _log_crash("generation", error)
            generation.abandon(Crashed("the answer ended by a fault of this program"))
            return Progress.DONE

    def _conclude(self, on_done: Callable[[], None]) -> None:
        try:
            on_done()
        except Exception as error:  # noqa: BLE001 - the other answers must go on
            _log_crash("conclusion", error)

    def _sleep(self) -> None:
        alarms = [g.wake_at_s for g, _ in self._running if g.wake_at_s is not None]
        pause_s = max(0.0, min(alarms) - time.monotonic()) if alarms else None
        if self._running and pause_s is None:
            pause_s = 1.0  # deadlines that no alarm announces are looked at this often
        with self._condition:
            if not self._woken and not self._closed:
                self._condition.wait(pause_s)
            self._woken = False


def _log_crash(what: str, error: Exception) -> None:
    place = traceback.extract_tb(error.__traceback__)[-1]
    kind = type(error).__name__
    _log.critical("%s crashed error=%s at=%s:%s", what, kind, place.name, place.lineno)
