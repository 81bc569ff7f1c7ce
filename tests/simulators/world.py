"""Device and cloud in one small world with its own clock: real loops, simulated models and link.

The link delays, and breaks where the schedule says so; clouds restart with nothing in memory.
Within one stream words keep their order and arrive once or not at all, as gRPC promises.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from outrider_cloud.engine import Engine
from outrider_cloud.errors import BusyError, PeerError
from outrider_cloud.verifier import Plan, Say, Verifier, VerifierSettings
from outrider_edge.draft import Draft
from outrider_edge.errors import CloudRefused, CloudUnavailable, EdgeError
from outrider_edge.events import Event
from outrider_edge.generation import Endurance, Generation, Outcome, Progress
from outrider_edge.solo import Solo
from outrider_edge.speculate import Speculation
from outrider_protos.words import CloudWord, DeviceWord

MAX_EVENTS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """When the link breaks: after so many words in all, counted over both directions."""

    breaks: frozenset[int] = frozenset()
    restarts: frozenset[int] = frozenset()  # the cloud forgets everything, and the link breaks
    moves: frozenset[int] = frozenset()  # the next stream goes to another replica
    silence_s: float = 0.0  # how long after a break nobody answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things take, in seconds of the world's clock."""

    link_s: float = 0.01  # one way
    draft_s: float = 0.001
    forward_s: float = 0.004


class World:
    """Runs generations to their end. Everything happens in `run`, in order of time."""

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        *,
        pace: Pace = Pace(),
        faults: Faults = Faults(),
        settings: VerifierSettings = VerifierSettings(),
    ) -> None:
        self.now_s = 0.0
        self.pace = pace
        self.faults = faults
        self.crossed = 0  # words that went over the link
        self._make_engine = make_engine
        self._settings = settings
        self._clouds = [self._make(), self._make()]
        self._replica = 0
        self._closed_until_s = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = 0
        self._streams = 0

    def _make(self) -> "_Cloud":
        return _Cloud(self, self._make_engine(), self._settings)

    @property
    def cloud(self) -> "_Cloud":
        return self._clouds[self._replica]

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        self._ticket += 1
        heapq.heappush(self._agenda, (time_s, self._ticket, action))

    def run(
        self,
        loops: Sequence[tuple[Speculation | Solo, Draft | None]],
        endurance: Endurance = Endurance(),
    ) -> list["Run"]:
        """Drive the loops side by side. Raises AssertionError when the world never ends."""
        runs = [Run(self, loop, draft, endurance) for loop, draft in loops]
        for run in runs:
            self.at(0.0, run.step)
        for _ in range(MAX_EVENTS):
            if not self._agenda or all(run.outcome for run in runs):
                break
            self.now_s, _, action = heapq.heappop(self._agenda)
            action()
        assert all(run.outcome for run in runs), "the world stands still"
        return runs

    # ---- the link

    def dial(self, wake: Callable[[], None]) -> "_Line":
        self._streams += 1
        line = _Line(self, self._streams, wake)
        if self.now_s < self._closed_until_s:
            line.break_off(CloudUnavailable("nobody answers"))
        else:
            line.cloud = self.cloud
            line.cloud.connect(line)
        return line

    def cross(self, line: "_Line", arrive: Callable[[], None]) -> None:
        """One word crosses; whatever the schedule holds for it happens."""
        self.crossed += 1
        faults = self.faults
        if self.crossed in faults.restarts:
            self._clouds[self._replica] = self._make()
        if self.crossed in faults.moves:
            self._replica = 1 - self._replica
        if self.crossed in faults.breaks | faults.restarts | faults.moves:
            self._closed_until_s = self.now_s + faults.silence_s
            line.break_off(CloudUnavailable("the link broke"))
            return
        self.at(self.now_s + self.pace.link_s, arrive)


@dataclass(eq=False)
class Run:
    """One generation in the world, and all it told its reader."""

    world: World
    loop: Speculation | Solo
    draft: Draft | None
    endurance: Endurance
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._generation = Generation(
            self.loop,
            draft=self.draft,
            dialer=self.world if isinstance(self.loop, Speculation) else None,
            sink=self.events.extend,
            endurance=self.endurance,
            clock=lambda: self.world.now_s,
        )
        self._scheduled = True

    @property
    def outcome(self) -> Outcome | None:
        return self._generation.outcome

    @property
    def ended(self) -> Outcome:
        assert self.outcome is not None
        return self.outcome

    def wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.world.at(self.world.now_s, self.step)

    def step(self) -> None:
        self._scheduled = False
        progress = self._generation.step(self.wake)
        if progress is Progress.WORKED:
            self._scheduled = True
            self.world.at(self.world.now_s + self.world.pace.draft_s, self.step)
        elif progress is Progress.WAITING:
            alarm_s = self._generation.wake_at_s
            self.world.at(alarm_s or self.world.now_s + 0.5, self.wake)


class _Line:
    """The device's end and the cloud's end of one stream."""

    def __init__(self, world: World, number: int, wake: Callable[[], None]) -> None:
        self.number = number
        self.cloud: _Cloud | None = None
        self._world = world
        self._wake = wake
        self._inbox: list[CloudWord] = []
        self._error: EdgeError | None = None

    def send(self, words: Sequence[DeviceWord]) -> None:
        for word in words:
            if self._error is None:
                self._world.cross(self, partial(self._reach_cloud, word))

    def _reach_cloud(self, word: DeviceWord) -> None:
        if self._error is None and self.cloud is not None:
            self.cloud.hear(self, word)

    def deliver(self, word: CloudWord) -> None:
        if self._error is None:
            self._world.cross(self, partial(self._arrive, word))

    def _arrive(self, word: CloudWord) -> None:
        if self._error is None:
            self._inbox.append(word)
            self._wake()

    def receive(self) -> list[CloudWord]:
        words, self._inbox = self._inbox, []
        if not words and self._error is not None:
            raise self._error
        return words

    def break_off(self, error: EdgeError) -> None:
        self._error = error
        self._hang_up()
        self._wake()

    def close(self) -> None:
        self._error = self._error or CloudUnavailable("closed")
        self._hang_up()

    def _hang_up(self) -> None:
        if self.cloud is not None:
            self.cloud.disconnect(self)
            self.cloud = None


class _Cloud:
    """The verifier with an engine, as the rim would run them."""

    def __init__(self, world: World, engine: Engine, settings: VerifierSettings) -> None:
        self.verifier = Verifier(engine.limits, settings)
        self._world = world
        self._engine = engine
        self._lines: dict[int, _Line] = {}
        self._busy = False
        self._alarm_s: float | None = None

    def connect(self, line: _Line) -> None:
        try:
            self.verifier.connect(line.number, "owner")
        except BusyError:
            line.break_off(CloudUnavailable("busy"))
            return
        self._lines[line.number] = line

    def disconnect(self, line: _Line) -> None:
        if self._lines.pop(line.number, None) is not None:
            self.verifier.disconnect(line.number, self._world.now_s)

    def hear(self, line: _Line, word: DeviceWord) -> None:
        if line.number not in self._lines:
            return
        try:
            says = self.verifier.hear(line.number, word, self._world.now_s)
        except PeerError as error:
            line.break_off(CloudRefused(str(error)))
            return
        self._say(says)
        self.turn()

    def turn(self) -> None:
        """Start a forward when one is due; look again when patience runs out."""
        if self._busy:
            return
        plan = self.verifier.plan(self._world.now_s)
        if plan is not None:
            self._forward(plan)
            return
        wake_s = self.verifier.wake_at_s()
        if wake_s is not None:
            self._world.at(max(wake_s, self._world.now_s + 1e-6), self.turn)

    def _forward(self, plan: Plan) -> None:
        for session in plan.releases:
            self._engine.release(session)
        self._busy = True
        began_s = self._world.now_s
        # The forward sees what there was when it began; its verdict comes when it is done.
        verdicts = self._engine.forward(plan.works)

        def done() -> None:
            self._busy = False
            now_s = self._world.now_s
            applied = self.verifier.apply(plan, verdicts, now_s - began_s, now_s)
            for session, nodes in applied.keeps:
                self._engine.keep(session, nodes)
            self._say(applied.says)
            self.turn()

        self._world.at(began_s + self._world.pace.forward_s, done)

    def _say(self, says: Sequence[Say]) -> None:
        for say in says:
            line = self._lines.get(say.stream)
            if line is not None:
                line.deliver(say.word)
