"""A conversation: turns go in, answers come out, and both sides reuse what they have computed.

It owns the session's id, its draft context and what the cloud is believed to know. How an answer is
decoded is the loop's business, how a prompt becomes ids the model's.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from outrider_edge.answer import Answer, Result
from outrider_edge.draft import Draft
from outrider_edge.errors import Busy, Cancelled, PromptTooLong
from outrider_edge.generation import Generation, Outcome
from outrider_edge.ledger import Entry, Ledger, Meter, Traffic
from outrider_edge.line import Dialer
from outrider_edge.options import Mode, Options
from outrider_edge.request import Request
from outrider_edge.solo import Solo
from outrider_edge.speculate import Speculation
from outrider_edge.template import Message
from outrider_edge.tempo import Tempo
from outrider_edge.text import Typist
from outrider_edge.voice import Voice
from outrider_edge.worker import Worker
from outrider_protos.limits import SESSION_BYTES
from outrider_protos.words import Provenance


@dataclass(frozen=True, slots=True)
class Drafting:
    """What an answer is drafted with."""

    draft: Draft | None
    tempo: Tempo  # of this draft, for this cloud
    draft_id: str | None = None  # which file drafts, for answers that may be recorded
    heard: Callable[[Outcome, Result], None] = (
        lambda outcome, result: None
    )  # of the finished answer
    ended: Callable[[], None] = lambda: None  # once, however it ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What a session borrows from its device."""

    worker: Worker
    voice: Voice
    drafting: Callable[[], Drafting]  # asked before each answer
    dialer: Dialer | None
    meter: Meter
    ledger: Ledger
    context_tokens: int  # of the target, or of the draft in local mode


class Session:
    """One answer at a time. Get one from `Device.session`."""

    def __init__(
        self, workshop: Workshop, options: Options, *, on_close: Callable[[], None]
    ) -> None:
        self.options = options
        self._on_close = on_close
        self._closed = False
        self.messages: list[Message] = []
        self._shop = workshop
        self._id = secrets.token_bytes(SESSION_BYTES)
        self._log: tuple[int, ...] = ()  # what the cloud may still have of this session
        self._running: Answer | None = None

    def close(self) -> None:
        """Give back the draft's context. An answer being written is cancelled, and waited for."""
        if (running := self._running) is not None:
            running.cancel()
            running.wait()
        if not self._closed:
            self._closed = True
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, text: str) -> Answer:
        """The next turn of the conversation. The reply joins it when the answer is finished.

        Raises PromptTooLong, BadInput (no chat template), Busy (an answer is being written),
        Cancelled (session or device were closed).
        """
        self._check_open()
        turns = [*self.messages, Message("user", text)]
        return self._start(self._shop.voice.conversation(turns), turns)

    def complete(self, text: str) -> Answer:
        """Go on from a raw text, no template. Raises PromptTooLong, Busy, Cancelled."""
        self._check_open()
        return self._start(self._shop.voice.raw(text), None)

    def continue_from(self, log: Sequence[int]) -> Answer:
        """Go on from token ids. Raises PromptTooLong, Busy, Cancelled."""
        self._check_open()
        return self._start(tuple(log), None)

    def _check_open(self) -> None:
        """Before anything touches the model, which a closed device has freed."""
        self._shop.worker.check_open()
        if self._closed:
            raise Cancelled("the session was closed")

    def _start(self, log: tuple[int, ...], turns: list[Message] | None) -> Answer:
        if self._running is not None:
            raise Busy("this session is still writing an answer")
        room = self._shop.context_tokens
        if len(log) >= room:
            raise PromptTooLong(f"the prompt has {len(log)} tokens, the context holds {room}")
        drafting = self._shop.drafting()
        try:
            return self._write(log, turns, drafting)
        except BaseException:
            self._running = None
            drafting.ended()
            raise

    def _write(
        self, log: tuple[int, ...], turns: list[Message] | None, drafting: Drafting
    ) -> Answer:
        template = None if turns is None else self._shop.voice.template_id
        request = self._request(log, template, drafting.draft_id)
        answer = self._answer(request)
        generation = self._generation(request, answer, drafting)
        answer.on_cancel(lambda: self._cancel(generation))
        before, began_s = self._shop.meter.traffic, time.monotonic()

        def done() -> None:
            outcome = generation.outcome
            assert outcome is not None
            traffic = self._shop.meter.traffic - before
            try:
                result = answer.conclude(outcome, traffic, time.monotonic() - began_s)
                self._remember(outcome, result, turns)
                self._note(outcome, traffic)
                drafting.heard(outcome, result)
            finally:
                drafting.ended()
                self._running = None
                answer.finish()

        self._running = answer
        self._shop.worker.submit(generation, done)
        return answer

    def _answer(self, request: Request) -> Answer:
        verified = self.options.mode is not Mode.LOCAL
        typist = Typist(self._shop.voice.piece, len(request.log))
        return Answer(typist, request.sampling, self.options.stop, verified=verified)

    def _request(self, log: tuple[int, ...], template: str | None, draft_id: str | None) -> Request:
        options = self.options
        return Request(
            session=self._id,
            log=log,
            keep=_common(self._log, log),
            max_length=min(len(log) + options.max_tokens, self._shop.context_tokens),
            end_ids=self._shop.voice.end_ids,
            sampling=options.sampling(),
            rollback=options.rollback if options.mode is Mode.BIG_LITTLE else None,
            patience_ms=options.cloud_patience_ms,
            run_ahead=options.run_ahead,
            wants=options.wants,
            provenance=self._provenance(template, draft_id) if options.consent else None,
        )

    def _provenance(self, template: str | None, draft_id: str | None) -> Provenance:
        options = self.options
        guided = options.mode is Mode.BIG_LITTLE
        return Provenance(
            domain=options.domain,
            draft=draft_id,
            template=template,
            fallback=options.fallback.threshold if guided else None,
        )

    def _generation(self, request: Request, answer: Answer, drafting: Drafting) -> Generation:
        loop: Speculation | Solo
        if self.options.mode is Mode.LOCAL:
            loop = Solo(request)
        else:
            drafts = self.options.mode is not Mode.CLOUD
            policy, tempo = self.options.policy(), drafting.tempo
            loop = Speculation(request, policy, drafting=drafts, tempo=tempo)
        return Generation(
            loop,
            draft=drafting.draft,
            dialer=self._shop.dialer if self.options.mode is not Mode.LOCAL else None,
            sink=answer.deliver,
            endurance=self.options.endurance,
        )

    def _cancel(self, generation: Generation) -> None:
        generation.cancel()
        self._shop.worker.wake()

    def _remember(self, outcome: Outcome, result: Result, turns: list[Message] | None) -> None:
        """The next turn builds on what was delivered, judged or not."""
        self._log = outcome.log
        if turns is not None and outcome.error is None:
            self.messages = [*turns, Message("assistant", result.text)]

    def _note(self, outcome: Outcome, traffic: Traffic) -> None:
        ended = outcome.reason.value if outcome.reason else type(outcome.error).__name__
        self._shop.ledger.record(
            Entry(
                mode=self.options.mode.value,
                ended=ended if outcome.reason or outcome.error else "unverified",
                tokens_by_draft=outcome.tally.by_draft,
                tokens_by_target=outcome.tally.by_target,
                tokens_unverified=len(outcome.tail),
                target_passes=outcome.tally.commits,
                traffic=traffic,
            )
        )


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
