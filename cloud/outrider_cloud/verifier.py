"""The cloud's core: words of many streams in, forwards out, verdicts in, words out.

It owns the sessions and knows what each is due; who runs is the scheduler's business. No thread, no
clock, no tensors, no transport: the rim brings all of these, calls from one thread, and gives the
time in seconds from any fixed start.

A turn of the rim: `hear` whatever arrived; `plan`; if there is a plan, let the engine release, then
run the forward; `apply` (or `abandon`, if it failed); let the engine keep. Words may be heard
between `plan` and `apply`: a verdict for a generation that has ended meanwhile is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from outrider_cloud.cost import VerifyCost
from outrider_cloud.engine import EngineLimits, Verdict, Work
from outrider_cloud.errors import BusyError, ConfigError, PeerCode, PeerError
from outrider_cloud.pool import KvPool
from outrider_cloud.scheduler import Budget, Scheduler
from outrider_cloud.session import Phase, Session, check_open
from outrider_cloud.table import SessionTable
from outrider_cloud.trace import Trace
from outrider_cloud.turn import Turn
from outrider_protos.words import (
    Ack,
    Append,
    Cancel,
    Close,
    CloudWord,
    DeviceWord,
    Finish,
    FinishReason,
    GoAway,
    Open,
    Propose,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierSettings:
    """Bounds. Raises ConfigError for a bound that lets nothing happen."""

    max_sessions: int = 1024  # remembered, with or without a stream
    max_sessions_per_owner: int = 64
    max_streams: int = 256
    forward_tokens: int = 512  # rows in one forward
    judge_nodes: int = 64  # of one session in one forward
    go_away_ms: int = 1000  # the pause a device is asked to make

    def __post_init__(self) -> None:
        least = dict.fromkeys(self.__slots__, 1) | {"forward_tokens": 4, "go_away_ms": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f"{name} must be at least {value}")


@dataclass(frozen=True, slots=True)
class Say:
    """A word for one stream."""

    stream: int
    word: CloudWord


@dataclass(frozen=True, slots=True)
class Plan:
    """One forward. First the engine releases; `works` may be empty, then that is all."""

    works: tuple[Work, ...]
    releases: tuple[int, ...]
    turns: tuple[Turn, ...]  # for `apply` and `abandon`


@dataclass(frozen=True, slots=True)
class Applied:
    """What a forward brought: words, and (session, nodes) for `Engine.keep`."""

    says: tuple[Say, ...]
    keeps: tuple[tuple[int, tuple[int, ...]], ...]
    traces: tuple[Trace, ...] = ()  # for the records; the engine's rows are there until it forwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Since the start."""

    generations: int = 0
    forwards: int = 0
    passes: int = 0  # rounds of judging, counted per session
    prompt_tokens: int = 0  # log tokens fed, but for the one each pass feeds anyway
    committed: int = 0  # tokens
    own_tokens: int = 0  # of them, those that no node stood for
    judged_nodes: int = 0
    stale_nodes: int = 0  # nodes that nobody had to judge any more
    evictions: int = 0  # of KV
    forgotten: int = 0  # sessions pushed out by others


@dataclass(slots=True)
class _Stream:
    owner: str
    session: Session | None = None
    opened: bool = False  # ever; without a session since, words are ignored until Open
    superseded: bool = False  # words are ignored for good

    @property
    def answering(self) -> bool:
        return self.session is not None and self.session.phase is not Phase.IDLE


class Verifier:
    """See the module."""

    def __init__(self, engine_limits: EngineLimits, settings: VerifierSettings) -> None:
        self._settings = settings
        self._pool = KvPool(engine_limits)
        # A session can never be longer than the whole pool.
        context_tokens = min(engine_limits.context_tokens, self._pool.tokens)
        self._limits = replace(engine_limits, context_tokens=context_tokens)
        self._cost = VerifyCost()
        budget = Budget(rows=settings.forward_tokens, nodes=settings.judge_nodes)
        self._scheduler = Scheduler(budget, self._pool, self._cost)
        self._table = SessionTable(settings.max_sessions, settings.max_sessions_per_owner)
        self._streams: dict[int, _Stream] = {}
        self._running: dict[int, Session] = {}  # by handle
        self._counters = Counters()
        self._handles = 0
        self._draining = False

    @property
    def counters(self) -> Counters:
        stale = self._counters.stale_nodes + sum(session.stale_nodes for session in self._table)
        return replace(self._counters, stale_nodes=stale, evictions=self._pool.evictions)

    def connect(self, stream: int, owner: str) -> None:
        """A stream, by a number never used before. Raises BusyError."""
        if len(self._streams) >= self._settings.max_streams:
            raise BusyError(self._settings.go_away_ms)
        self._streams[stream] = _Stream(owner)

    def hear(self, stream: int, word: DeviceWord, now_s: float) -> list[Say]:
        """Take in one word. Raises PeerError: the rim ends the stream with it and disconnects."""
        line = self._streams[stream]
        if line.superseded:
            return []
        if isinstance(word, Open):
            return self._open(stream, line, word, now_s)
        session = line.session
        if session is None:
            if not line.opened:
                raise PeerError(PeerCode.OUT_OF_ORDER, "the first word must be Open")
            return []
        if isinstance(word, Close):
            self._forget(session)
            line.session = None
            return []
        words = self._tell(session, word, now_s)
        self._track(session)
        return [Say(stream, said) for said in words]

    def disconnect(self, stream: int, now_s: float) -> None:
        """The stream is gone; its session's log and KV stay for the next one."""
        line = self._streams.pop(stream, None)
        if line is not None:
            self._detach(line)

    def plan(self, now_s: float) -> Plan | None:
        """The next forward; None if nothing is due now."""
        ready = []
        for session in self._running.values():
            ready_at_s = session.ready_at_s()
            if ready_at_s is not None and ready_at_s <= now_s:
                ready.append(session)
        turns = self._scheduler.schedule(ready, now_s) if ready else []
        releases = self._pool.take_released()
        if not turns and not releases:
            return None
        return Plan(tuple([turn.work() for turn in turns]), releases, tuple(turns))

    def wake_at_s(self) -> float | None:
        """When `plan` will next have something to do, if nothing is heard until then."""
        times_s = (session.ready_at_s() for session in self._running.values())
        return min((time_s for time_s in times_s if time_s is not None), default=None)

    def apply(
        self, plan: Plan, verdicts: Sequence[Verdict | None], elapsed_s: float, now_s: float
    ) -> Applied:
        """Commit what the target said; `verdicts` as the engine gave them."""
        if all(turn.fed == 1 for turn in plan.turns):
            self._cost.observe(sum(turn.rows for turn in plan.turns), elapsed_s)
        says: list[Say] = []
        keeps: list[tuple[int, tuple[int, ...]]] = []
        traces: list[Trace] = []
        committed = own = 0
        for turn, work, verdict in zip(plan.turns, plan.works, verdicts, strict=True):
            if not turn.stands:
                continue
            session = turn.session
            outcome = turn.conclude(work, verdict, elapsed_s, now_s)
            if session.stream is not None:
                says += [Say(session.stream, word) for word in outcome.words]
            if outcome.trace is not None:
                traces.append(outcome.trace)
            if work.nodes:
                keeps.append((work.session, outcome.kept))
            committed += outcome.committed
            own += outcome.own
            if work.judge:
                self._pool.settle(session)
            self._track(session)
        self._count(plan, committed, own)
        return Applied(tuple(says), tuple(keeps), tuple(traces))

    def abandon(self, plan: Plan, now_s: float) -> list[Say]:
        """The forward failed: its sessions lose their KV, and the devices come back later."""
        says = []
        for turn in plan.turns:
            session = turn.session
            self._pool.drop(session)
            if turn.stands and session.stream is not None:
                says.append(self._send_away(session.stream, self._streams[session.stream]))
        return says

    def drain(self, *, at_once: bool) -> list[Say]:
        """From now on send away who comes; of those here, who waits for no answer, or everybody."""
        self._draining = True
        return [
            self._send_away(stream, line)
            for stream, line in self._streams.items()
            if at_once or not line.answering
        ]

    def _open(self, stream: int, line: _Stream, word: Open, now_s: float) -> list[Say]:
        check_open(word, self._limits)
        line.opened = True
        self._detach(line)
        if self._draining:
            return [self._send_away(stream, line)]
        session = self._table.find(line.owner, word.session)
        try:
            session = session or self._create(line.owner, word.session)
        except LookupError:
            return [self._send_away(stream, line)]
        says = self._supersede(session)
        session.stream, line.session = stream, session
        self._counters = replace(self._counters, generations=self._counters.generations + 1)
        words = session.begin(word, self._counters.generations, now_s)
        self._track(session)
        return says + [Say(stream, said) for said in words]

    def _create(self, owner: str, name: bytes) -> Session:
        replaced = self._table.replaceable(owner)
        if replaced is not None:
            self._forget(replaced)
            self._counters = replace(self._counters, forgotten=self._counters.forgotten + 1)
        self._handles += 1
        session = Session(owner, name, self._handles, self._limits)
        sibling = self._table.latest(owner)
        if sibling is not None:  # most likely the same draft
            session.acceptance = sibling.acceptance.heir()
        self._table.add(session)
        return session

    def _supersede(self, session: Session) -> list[Say]:
        older = session.stream
        if older is None:
            return []
        line = self._streams[older]
        line.session, line.superseded = None, True
        return [Say(older, Finish(FinishReason.SUPERSEDED))]

    def _tell(self, session: Session, word: DeviceWord, now_s: float) -> list[CloudWord]:
        match word:
            case Propose():
                session.propose(word, now_s)
            case Ack():
                session.ack(word.length)
            case Append():
                return session.append(word, now_s)
            case Cancel() if session.phase is not Phase.IDLE:
                session.stop()
                return [Finish(FinishReason.CANCELLED)]
        return []

    def _send_away(self, stream: int, line: _Stream) -> Say:
        self._detach(line)
        return Say(stream, GoAway(self._settings.go_away_ms))

    def _detach(self, line: _Stream) -> None:
        session = line.session
        if session is not None:
            line.session = session.stream = None
            session.stop()
            self._track(session)
            self._table.touch(session)

    def _forget(self, session: Session) -> None:
        session.stop()
        self._track(session)
        self._pool.drop(session)
        self._table.remove(session)
        stale = self._counters.stale_nodes + session.stale_nodes
        self._counters = replace(self._counters, stale_nodes=stale)

    def _track(self, session: Session) -> None:
        if session.phase is Phase.RUNNING:
            self._running[session.handle] = session
        else:
            self._running.pop(session.handle, None)

    def _count(self, plan: Plan, committed: int, own: int) -> None:
        counters = self._counters
        passes = sum(work.judge for work in plan.works)
        fed = sum(turn.fed for turn in plan.turns)
        self._counters = replace(
            counters,
            forwards=counters.forwards + 1,
            passes=counters.passes + passes,
            prompt_tokens=counters.prompt_tokens + fed - passes,
            committed=counters.committed + committed,
            own_tokens=counters.own_tokens + own,
            judged_nodes=counters.judged_nodes + sum(len(work.nodes) for work in plan.works),
        )
