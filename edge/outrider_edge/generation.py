"""One generation being driven: the pure loop between a draft and a line that may break.

`step` does a bounded piece of work and never waits, so one thread can drive many generations. The
clock is passed in. It decides about reconnecting and giving up; what a token means is the loop's
affair.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from outrider_edge.draft import Draft
from outrider_edge.errors import (
    CloudUnavailable,
    ContextFull,
    DraftError,
    EdgeError,
    ProtocolError,
    Superseded,
)
from outrider_edge.events import Event
from outrider_edge.line import Dialer, Line
from outrider_edge.solo import Solo
from outrider_edge.speculate import Job, Speculation, Tally
from outrider_protos.words import CloudWord, FinishReason, GoAway, Opened


class Progress(Enum):
    """What a step came to."""

    WORKED = "worked"  # step again at once
    WAITING = "waiting"  # for the cloud, or for `wake_at_s`
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """How long to bear a cloud that is not there."""

    resume_s: float = 30.0  # exact mode: then the generation fails with what was committed
    unverified_s: float = 2.0  # Big-Little: then a finished but unjudged text is delivered
    first_retry_s: float = 0.1
    longest_retry_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a generation came to."""

    log: tuple[int, ...]  # everything that stands, the prompt included
    tail: tuple[int, ...]  # delivered, but not judged by the target
    reason: FinishReason | None  # None: it failed, or the tail ended it
    tally: Tally
    choices: dict[int, int]  # log index -> the target's choice, where it was asked for
    error: EdgeError | None = None
    draft_failed: bool = False  # it broke down, and the answer went on without it


Sink = Callable[[Sequence[Event]], None]


class Generation:
    """Drives one `Speculation` (with a dialer) or `Solo` (without) to its outcome."""

    def __init__(
        self,
        loop: Speculation | Solo,
        *,
        draft: Draft | None,
        dialer: Dialer | None,
        sink: Sink,
        endurance: Endurance = Endurance(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.outcome: Outcome | None = None
        self.wake_at_s: float | None = None
        self._loop = loop
        self._talk = loop if isinstance(loop, Speculation) else None
        self._draft = draft
        self._dialer = dialer
        self._sink = sink
        self._endurance = endurance
        self._clock = clock
        self._line: Line | None = None
        self._lost_at_s: float | None = None
        self._retry_s = endurance.first_retry_s
        self._cancelled = False
        self._draft_failed = False

    def cancel(self) -> None:
        """End soon; what is committed by then stands."""
        self._cancelled = True

    def step(self, wake: Callable[[], None]) -> Progress:
        """Take what arrived, do at most one drafting job, send what is ripe."""
        if self.outcome is not None:
            return Progress.DONE
        now_s = self._clock()
        try:
            worked = self._converse(now_s, wake)
            worked = self._work() or worked
        except EdgeError as error:
            self._end(error)
            return Progress.DONE
        self._sink(self._loop.events())
        if self._loop.finished is not None or self._may_deliver(now_s):
            self._end(None)
            return Progress.DONE
        return Progress.WORKED if worked else Progress.WAITING

    def abandon(self, error: EdgeError) -> None:
        """End now, whatever is under way."""
        if self.outcome is None:
            self._end(error)

    # ---- the line

    def _converse(self, now_s: float, wake: Callable[[], None]) -> bool:
        talk = self._talk
        if talk is None or self._dialer is None:
            if self._cancelled:
                self._loop.cancel()
            return False
        if self._line is None:
            if self._cancelled:
                talk.cancel()
                return False
            if self.wake_at_s is not None and now_s < self.wake_at_s:
                return False
            self.wake_at_s = None
            self._line = self._dialer.dial(wake)
            talk.connected()
        return self._listen(talk, self._line, now_s)

    def _listen(self, talk: Speculation, line: Line, now_s: float) -> bool:
        try:
            words = line.receive()
            for word in words:
                self._hear(talk, word, now_s)
        except (CloudUnavailable, ProtocolError) as error:
            self._lose(talk, error, now_s)
            return True
        if self._cancelled:
            self._cancelled = False
            talk.cancel()
        self._send(talk)
        return bool(words)

    def _hear(self, loop: Speculation, word: CloudWord, now_s: float) -> None:
        if isinstance(word, GoAway):
            raise CloudUnavailable("the cloud asks to come back later", word.retry_after_ms / 1000)
        if isinstance(word, Opened):
            self._lost_at_s = None
            self._retry_s = self._endurance.first_retry_s
        loop.hear(word, now_s)
        if loop.finished is FinishReason.SUPERSEDED:
            raise Superseded("the session was opened on another stream")

    def _send(self, loop: Speculation) -> None:
        words = loop.words()
        if words and self._line is not None:
            self._line.send(words)

    def _lose(self, loop: Speculation, error: EdgeError, now_s: float) -> None:
        """The line broke: try again later, or give up when it has been too long."""
        if self._line is not None:
            self._line.close()
        self._line = None
        loop.disconnected()
        if loop.finished is not None:
            return
        if self._lost_at_s is None:
            self._lost_at_s = now_s
        resume_s = self._endurance.resume_s
        if now_s - self._lost_at_s >= resume_s:
            begun = len(loop.log) > len(loop.request.log)
            what = "the answer is not complete" if begun else "there is no answer"
            raise CloudUnavailable(f"{error}, for {resume_s:g} s: {what}")
        self.wake_at_s = now_s + self._pause_s(error)
        self._retry_s = min(2 * self._retry_s, self._endurance.longest_retry_s)

    def _pause_s(self, error: EdgeError) -> float:
        """What the cloud asks for, within bounds, or longer each time."""
        asked_s = error.retry_after_s if isinstance(error, CloudUnavailable) else None
        if asked_s is None or asked_s < self._endurance.first_retry_s:
            return self._retry_s
        return min(asked_s, self._endurance.longest_retry_s)

    def _may_deliver(self, now_s: float) -> bool:
        """Big-Little, cloud away, nothing left to write: deliver the text, marked unverified."""
        talk = self._talk
        if talk is None or not talk.tail or self._lost_at_s is None:
            return False
        return talk.job() is None and now_s - self._lost_at_s >= self._endurance.unverified_s

    # ---- the draft

    def _work(self) -> bool:
        job = self._loop.job() if self._draft is not None else None
        if job is None or self._draft is None:
            return False
        try:
            self._expand(self._draft, job)
        except DraftError as error:
            # A draft can only cost speed: without it the cloud writes the rest, if there is one.
            self._draft_failed = not isinstance(error, ContextFull)
            if self._talk is None and self._draft_failed:
                raise
            self._loop.stop_drafting()
        if self._talk is not None:
            self._send(self._talk)
        return True

    def _expand(self, draft: Draft, job: Job) -> None:
        began_s = self._clock()
        if job.log is not None:
            draft.begin(job.log, self._loop.request.sampling)
        elif job.detail.width > 1:
            draft.prune(job.anchor)
        expansions = draft.expand(job.leaves, job.detail)
        self._loop.drafted(job, expansions, self._clock() - began_s)

    def _end(self, error: EdgeError | None) -> None:
        loop = self._loop
        self._sink(loop.events())
        if self._line is not None:
            self._line.close()
            self._line = None
        self.outcome = Outcome(
            log=tuple(loop.log),
            tail=tuple(self._talk.tail) if self._talk else (),
            reason=loop.finished if error is None else None,
            tally=loop.tally,
            choices=self._talk.choices if self._talk else {},
            error=error,
            draft_failed=self._draft_failed,
        )
