"""A rim without threads, and a device that follows a script: the verifier's two neighbours.

Time passes only when a test lets it; nothing here decides what is proposed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from outrider_cloud.engine import EngineLimits
from outrider_cloud.errors import EngineError, PeerError
from outrider_cloud.records.assembly import Assembly
from outrider_cloud.records.record import Record, Versions
from outrider_cloud.trace import Trace
from outrider_cloud.verifier import Verifier, VerifierSettings
from outrider_protos.loghash import LogHash
from outrider_protos.words import (
    Append,
    CloudWord,
    Commit,
    DeviceWord,
    Finish,
    FinishReason,
    GoAway,
    Open,
    Opened,
    Propose,
    TopRow,
)
from tests.simulators.target import SMALL, SimulatedTarget

DEFAULTS = VerifierSettings()


class Rim:
    """Drives one verifier and one target by the documented turn."""

    def __init__(
        self,
        limits: EngineLimits = SMALL,
        settings: VerifierSettings = DEFAULTS,
        *,
        row_s: float = 0.0,
        target: SimulatedTarget | None = None,
    ) -> None:
        self.target = target or SimulatedTarget(limits)
        self.verifier = Verifier(self.target.limits, settings)
        self.now_s = 100.0
        self.row_s = row_s  # a forward takes 10 ms and this much for every row
        self.unread: defaultdict[int, list[CloudWord]] = defaultdict(list)
        self.assembly = Assembly(Versions(target="simulated", tokenizer=bytes(16), runtime="none"))
        self.records: list[Record] = []

    def connect(self, stream: int, owner: str = "anna") -> None:
        self.verifier.connect(stream, owner)

    def hear(self, stream: int, *words: DeviceWord) -> None:
        for word in words:
            try:
                says = self.verifier.hear(stream, word, self.now_s)
            except PeerError:
                self.verifier.disconnect(stream, self.now_s)
                raise
            for say in says:
                self.unread[say.stream].append(say.word)

    def begin(self, stream: int, terms: Open, log: list[int]) -> None:
        """Open a session that is not known, and send its log."""
        self.hear(stream, opening(terms, log), Append(0, tuple(log)))

    def join(self, stream: int, terms: Open, log: list[int]) -> None:
        """A stream with a session of its own, named after the stream; what it was told is gone."""
        self.connect(stream)
        self.begin(stream, replace(terms, session=bytes([stream] * 16)), log)
        self.take(stream)

    def take(self, stream: int) -> list[CloudWord]:
        """What the stream was told since the last time."""
        return self.unread.pop(stream, [])

    def turn(self) -> bool:
        """One forward, if one is due."""
        plan = self.verifier.plan(self.now_s)
        if plan is None:
            return False
        for session in plan.releases:
            self.target.release(session)
        if not plan.works:
            return True
        try:
            verdicts = self.target.forward(plan.works)
        except EngineError:
            says = self.verifier.abandon(plan, self.now_s)
        else:
            rows = sum(len(work.prefix) + len(work.nodes) for work in plan.works)
            elapsed_s = 0.010 + self.row_s * rows
            self.now_s += elapsed_s
            applied = self.verifier.apply(plan, verdicts, elapsed_s, self.now_s)
            self.record(applied.traces)
            for session, nodes in applied.keeps:
                self.target.keep(session, nodes)
            says = list(applied.says)
        for say in says:
            self.unread[say.stream].append(say.word)
        return True

    def record(self, traces: Sequence[Trace]) -> None:
        for trace in traces:
            self.target.hold(trace.session, trace.rows)
            tops = self.target.tops()
            record = self.assembly.take(trace, tops, self.now_s)
            self.records += [] if record is None else [record]

    def run(self, most: int = 10_000) -> int:
        """Turns until nothing is due; how many it took."""
        for turns in range(most):
            if not self.turn():
                return turns
        raise AssertionError("it never rests")


@dataclass(slots=True)
class SentEpoch:
    """What the device has told of an epoch, by node number."""

    at: int
    tokens: list[int] = field(default_factory=lambda: [0])
    parents: list[int] = field(default_factory=lambda: [0])

    def path(self, node: int) -> list[int]:
        tokens = []
        while node:
            tokens.append(self.tokens[node])
            node = self.parents[node]
        return tokens[::-1]


class ScriptedDevice:
    """One session as a device sees it: what it has heard, which may be less than was said."""

    def __init__(self, rim: Rim, stream: int, terms: Open, log: list[int], owner: str = "anna"):
        self.rim = rim
        self.stream = stream
        self.owner = owner
        self.terms = terms
        self.log = log
        self.epochs: dict[int, SentEpoch] = {}
        self.epoch = 0
        self.finish: FinishReason | None = None
        self.sent_away = False
        self.commits: list[Commit] = []
        rim.connect(stream, owner)

    def open(self, keep: int | None = None) -> None:
        """Declare the log as heard so far; `listen` sends what the cloud lacks."""
        self.epochs, self.epoch = {}, 0
        self.finish, self.sent_away = None, False
        self.rim.take(self.stream)
        self.rim.hear(self.stream, opening(self.terms, self.log, keep))

    def reconnect(self, stream: int) -> None:
        """Leave without a word, and come back on another stream."""
        self.rim.verifier.disconnect(self.stream, self.rim.now_s)
        self.rim.take(self.stream)
        self.stream = stream
        self.rim.connect(stream, self.owner)
        self.open()

    def propose(
        self,
        tokens: list[int],
        parents: list[int] | None = None,
        top: tuple[TopRow, ...] | None = None,
    ) -> int:
        """Nodes for the current epoch, a chain by default; gives the last node's number."""
        epoch = self.epochs[self.epoch]
        first = len(epoch.tokens)
        epoch.tokens += tokens
        epoch.parents += range(first - 1, first - 1 + len(tokens)) if parents is None else parents
        word = Propose(
            self.epoch,
            epoch.at if first == 1 else 0,
            first,
            tuple(tokens),
            None if parents is None else tuple(parents),
            top,
        )
        self.rim.hear(self.stream, word)
        return len(epoch.tokens) - 1

    def begin_epoch(self) -> None:
        self.epoch += 1
        self.epochs[self.epoch] = SentEpoch(len(self.log))

    def ask(self) -> None:
        self.rim.hear(self.stream, Propose(self.epoch + 1, len(self.log), 1, ()))

    def listen(self) -> None:
        """Take in all that was said."""
        for word in self.rim.take(self.stream):
            match word:
                case Opened():
                    rest = tuple(self.log[word.have :])
                    if rest:
                        self.rim.hear(self.stream, Append(word.have, rest))
                case Commit():
                    self._grow(word)
                case Finish():
                    assert self.finish is None, "finished twice"
                    self.finish = word.reason
                case GoAway():
                    self.sent_away = True

    def _grow(self, word: Commit) -> None:
        assert self.finish is None, "a commit after the end"
        self.commits.append(word)
        epoch = self.epochs.get(word.epoch)
        path = [] if epoch is None else self.log[: epoch.at] + epoch.path(word.node)
        shared = min(len(path), len(self.log))
        assert path[:shared] == self.log[:shared], "the commit's path leaves the log"
        self.log = [*max(path, self.log, key=len), *word.tokens]
        assert len(self.log) == word.length, "a commit was lost or doubled"


def opening(terms: Open, log: list[int], keep: int | None = None) -> Open:
    """`terms` for this log."""
    kept = len(log) if keep is None else keep
    return replace(terms, keep=kept, length=len(log), digest=LogHash(log).digest())
