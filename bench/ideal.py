"""The ideal: the pipelined protocol as an event simulation, free of software overhead.

Rules are the protocol's (design: propose and commit on one stream), for chains: the cloud judges
pending nodes and commits what stands and one token of its own; the prompt's own forward gives the
first token; an epoch dies where the log leaves it; a late node that matches tokens already
committed still counts; with patience zero the cloud decodes by itself when nothing is pending and
judges only as many nodes as pay. A draft step cannot be interrupted: the device learns of commits
between steps. It knows times and agreement only, no tokens; where its inputs come from is the
caller's affair.
"""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from bench.step_times import StepTimes


class Patience(Enum):
    """How long the cloud waits for something to judge before it decodes by itself."""

    ZERO = "zero"
    INFINITE = "infinite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The measured times both sides need."""

    draft: StepTimes  # by tokens fed
    target: StepTimes  # by rows: the last log token and the nodes after it
    rtt_s: float

    def slower(self, extra_s: float) -> "Machine":
        """The same with every step and every trip longer by so much."""
        return Machine(
            draft=self.draft.longer(extra_s),
            target=self.target.longer(extra_s),
            rtt_s=self.rtt_s + 2 * extra_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One generation: `agrees[j]` is whether the draft, given the target's text, writes token j."""

    agrees: tuple[bool, ...]
    target_prefill_s: float = 0.0
    draft_prefill_s: float = 0.0

    def first_mismatch(self, start: int, end: int) -> int | None:
        """The first position in [start, end) that the draft gets wrong; none past the end."""
        for position in range(start, min(end, len(self.agrees))):
            if not self.agrees[position]:
                return position
        return None

    def mean(self, other: "Answer") -> "Answer":
        """Of two measurements of the same answer."""
        return Answer(
            agrees=self.agrees,
            target_prefill_s=(self.target_prefill_s + other.target_prefill_s) / 2,
            draft_prefill_s=(self.draft_prefill_s + other.draft_prefill_s) / 2,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the two sides may choose."""

    span: int  # nodes gathered before they are sent
    window: int  # positions drafted past the known log at most
    patience: Patience
    expected_acceptance: float = 1.0  # with patience zero: what the cloud reckons with


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulation took, the request's way there and the last commit's way back included."""

    seconds: float
    tokens: int
    passes: int

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds

    @property
    def passes_per_token(self) -> float:
        return self.passes / self.tokens

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.seconds + other.seconds, self.tokens + other.tokens, self.passes + other.passes
        )


class _Happening(Enum):
    OPENED = auto()  # at the cloud
    DRAFTED = auto()  # at the device
    PROPOSED = auto()  # at the cloud
    JUDGED = auto()  # at the cloud
    COMMITTED = auto()  # at the device


@dataclass(slots=True)
class _Agenda:
    """What will happen when; things due at one time happen in the order they were planned."""

    now_s: float = 0.0
    _due: list[tuple[float, int, _Happening, int, int]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def plan(self, delay_s: float, what: _Happening, first: int = 0, second: int = 0) -> None:
        heapq.heappush(self._due, (self.now_s + delay_s, next(self._order), what, first, second))

    def pop(self) -> tuple[_Happening, int, int]:
        self.now_s, _, what, first, second = heapq.heappop(self._due)
        return what, first, second


class _Device:
    """Drafts a chain past the log it knows and sends it span by span."""

    def __init__(self, machine: Machine, answer: Answer, plan: Plan, agenda: _Agenda) -> None:
        self._machine, self._answer, self._plan, self._agenda = machine, answer, plan, agenda
        self._root = 0  # where the epoch starts
        self._tip = 0  # the end of what is drafted
        self._sent = 0  # the end of what is sent
        self._known = 0  # the log's length, as far as its commits have come
        self._fed = 0  # tokens of this path in the draft's KV
        self._news: int | None = None  # a commit that came during a step
        self._drafting = False

    def open(self) -> None:
        self._drafting = True
        self._agenda.plan(self._answer.draft_prefill_s, _Happening.DRAFTED)

    def drafted(self) -> None:
        self._fed, self._tip = self._tip, self._tip + 1
        self._drafting = False
        if self._news is not None:
            self._learn(self._news)
            self._news = None
        self._go_on()

    def committed(self, length: int) -> None:
        if self._drafting:
            self._news = length
        else:
            self._learn(length)
            self._go_on()

    def _learn(self, length: int) -> None:
        """Compare the log with the path; on a difference, or overtaken, start anew at its end."""
        self._known = length
        mismatch = self._answer.first_mismatch(self._root, min(length, self._tip))
        if mismatch is None and self._tip >= length:
            return
        if mismatch is not None:
            self._fed = min(self._fed, mismatch)
        self._root = self._tip = self._sent = length

    def _go_on(self) -> None:
        full = self._tip - self._known >= self._plan.window
        gathered = self._tip - max(self._sent, self._known)  # what is committed is of no use
        if gathered >= self._plan.span or (full and gathered):
            self._agenda.plan(self._machine.rtt_s / 2, _Happening.PROPOSED, self._root, self._tip)
            self._sent = self._tip
        if not full:
            self._drafting = True
            step_s = self._machine.draft[max(1, self._tip - self._fed)]
            self._agenda.plan(step_s, _Happening.DRAFTED)


class _Cloud:
    """Owns the log; judges what is pending, one forward at a time."""

    def __init__(self, machine: Machine, answer: Answer, plan: Plan, agenda: _Agenda) -> None:
        self._machine, self._answer, self._plan, self._agenda = machine, answer, plan, agenda
        self._path = (0, 0)  # the epoch's root and the end of its nodes
        self._busy = True  # until the request is here and the prompt is read
        self.log = 0
        self.passes = 0

    @property
    def finished(self) -> bool:
        return self.log >= len(self._answer.agrees)

    def opened(self) -> None:
        """Read the prompt; its last row already gives a token."""
        self.passes = 1
        self._agenda.plan(self._answer.target_prefill_s, _Happening.JUDGED, 0)

    def proposed(self, root: int, end: int) -> None:
        self._path = (root, end)
        self._start()

    def judged(self, nodes: int) -> None:
        """Commit the nodes that stand and one token of the target's own."""
        self._busy = False
        mismatch = self._answer.first_mismatch(self.log, self.log + nodes)
        end = self.log + nodes if mismatch is None else mismatch
        self.log = min(end + 1, len(self._answer.agrees))
        self._agenda.plan(self._machine.rtt_s / 2, _Happening.COMMITTED, self.log)
        self._start()

    def _start(self) -> None:
        if self._busy or self.finished:
            return
        pending = self._pending()
        if self._plan.patience is Patience.ZERO:
            pending = paying(pending, self._plan.expected_acceptance, self._machine.target)
        elif pending == 0:
            return
        self._busy = True
        self.passes += 1
        self._agenda.plan(self._machine.target[1 + pending], _Happening.JUDGED, pending)

    def _pending(self) -> int:
        root, end = self._path
        if self._answer.first_mismatch(root, min(self.log, end)) is not None:
            return 0
        return max(0, end - self.log)


def paying(pending: int, acceptance: float, target: StepTimes) -> int:
    """How many of the pending nodes to judge for the most expected tokens per second."""
    best, best_rate, expected, reach = 0, 1 / target[1], 1.0, 1.0
    for nodes in range(1, pending + 1):
        reach *= acceptance
        expected += reach
        if (rate := expected / target[1 + nodes]) > best_rate:
            best, best_rate = nodes, rate
    return best


def simulate(machine: Machine, answer: Answer, plan: Plan) -> Outcome:
    """One generation from the device's request to the arrival of its last commit."""
    agenda = _Agenda()
    device = _Device(machine, answer, plan, agenda)
    cloud = _Cloud(machine, answer, plan, agenda)
    agenda.plan(machine.rtt_s / 2, _Happening.OPENED)
    device.open()
    while not cloud.finished:
        match agenda.pop():
            case _Happening.OPENED, _, _:
                cloud.opened()
            case _Happening.DRAFTED, _, _:
                device.drafted()
            case _Happening.PROPOSED, root, end:
                cloud.proposed(root, end)
            case _Happening.JUDGED, nodes, _:
                cloud.judged(nodes)
            case _Happening.COMMITTED, length, _:
                device.committed(length)
    return Outcome(agenda.now_s + machine.rtt_s / 2, len(answer.agrees), cloud.passes)


def simulate_all(machine: Machine, answers: Sequence[Answer], plan: Plan) -> Outcome:
    """One generation after the other."""
    total = Outcome(0.0, 0, 0)
    for answer in answers:
        total += simulate(machine, answer, plan)
    return total


def stream(machine: Machine, answers: Sequence[Answer]) -> Outcome:
    """The cloud alone, its tokens streamed: the link costs one round trip an answer."""
    total = Outcome(0.0, 0, 0)
    for answer in answers:
        tokens = len(answer.agrees)
        decode_s = (tokens - 1) * machine.target[1]
        seconds = machine.rtt_s + answer.target_prefill_s + decode_s
        total += Outcome(seconds, tokens, tokens)
    return total
