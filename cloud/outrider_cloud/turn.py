"""What one session does in one forward: from its log and epoch to a Work, from a Verdict to words.

It decides nothing: the scheduler says how much is fed and judged, `agreement` what stands.
"""

from dataclasses import dataclass, field

from outrider_cloud.agreement import Judgement, judge
from outrider_cloud.engine import Verdict, Work
from outrider_cloud.session import Phase, Session
from outrider_cloud.trace import Trace, choices_at, fates_of, rows_of
from outrider_cloud.trie import EpochTrie, Node
from outrider_protos.words import CloudWord, Commit, Distance, Finish, Timings


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one turn brought."""

    words: tuple[CloudWord, ...] = ()
    kept: tuple[int, ...] = ()  # nodes of the work whose KV stays
    committed: int = 0  # tokens
    own: int = 0  # of them, those that nobody had proposed in time
    trace: Trace | None = None  # where the device lets them be recorded


@dataclass(slots=True)
class Turn:
    """Built by the scheduler, which adds nodes; then read only."""

    session: Session
    serial: int  # of the generation it is for
    past: int
    fed: int  # log tokens after `past`
    judge: bool  # they reach the log's end, so the target can say what comes next
    trie: EpochTrie | None  # the epoch it judges
    room: int  # nodes it may take
    queue_s: float  # how long the session has waited
    nodes: list[Node] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.fed + len(self.nodes)

    @property
    def stands(self) -> bool:
        """False if the generation ended, or another began, since the turn was planned."""
        return self.session.phase is Phase.RUNNING and self.session.serial == self.serial

    def work(self) -> Work:
        session = self.session
        rollback = session.open.rollback
        wants_top = rollback is not None and rollback.distance is not Distance.SURPRISE
        return Work(
            session=session.handle,
            past=self.past,
            prefix=tuple(session.log[self.past : self.past + self.fed]),
            nodes=tuple([node.token for node in self.nodes]),
            parents=tuple(self.parents),
            judge=self.judge,
            sampling=session.open.sampling,
            rollback=rollback,
            top=tuple([node.top for node in self.nodes if node.top]) if wants_top else None,
            logprobs=session.open.wants.logprobs,
        )

    def conclude(
        self, work: Work, verdict: Verdict | None, forward_s: float, now_s: float
    ) -> Outcome:
        """Commit what the target says. `verdict` is None if the turn did not ask to judge."""
        session = self.session
        session.kv = self.past + self.fed
        if verdict is None:
            return Outcome()
        judgement = judge(work, verdict)
        rows = self._row_nodes()
        before = len(session.log)
        reason = session.commit(judgement.tokens, now_s)
        committed = len(session.log) - before
        kept = judgement.path[:committed]
        session.kv += len(kept)
        commit = self._commit(before, judgement, verdict, rows, forward_s)
        words: tuple[CloudWord, ...] = (commit,)
        if reason is not None:
            session.stop()
            words = (commit, Finish(reason))
        trace = None
        if session.open.consent:
            ended = reason is not None
            trace = self._trace(before, committed, work, verdict, judgement, ended=ended)
        return Outcome(words, kept, committed, len(commit.tokens), trace)

    def _trace(
        self,
        before: int,
        committed: int,
        work: Work,
        verdict: Verdict,
        judgement: Judgement,
        *,
        ended: bool,
    ) -> Trace:
        session, rows = self.session, rows_of(judgement, committed)
        return Trace(
            generation=self.serial,
            session=session.handle,
            opening=session.opening() if before == session.open.length else None,
            at=before,
            rows=rows,
            tokens=tuple(session.log[before : before + committed]),
            choices=choices_at(verdict, rows),
            fates=fates_of(work, judgement, committed),
            ended=ended,
        )

    def _row_nodes(self) -> list[int]:
        """The node numbers of the verdict's rows, if the epoch reaches the log's end at all."""
        trie = self.trie
        if trie is None or trie is not self.session.trie or trie.length < len(self.session.log):
            return []
        return [trie.pointer.number, *(node.number for node in self.nodes)]

    def _commit(
        self,
        before: int,
        judgement: Judgement,
        verdict: Verdict,
        rows: list[int],
        forward_s: float,
    ) -> Commit:
        session = self.session
        trie = session.trie or EpochTrie(0, 0)
        wants, length = session.open.wants, len(session.log)
        return Commit(
            epoch=trie.epoch,
            node=trie.pointer.number,
            tokens=tuple(session.log[max(before, trie.length) :]),
            length=length,
            choices=tuple(zip(rows, verdict.choices, strict=False)) if wants.choices else None,
            logprobs=judgement.logprobs[: length - before] if judgement.logprobs else None,
            timings=Timings(queue_ms=self.queue_s * 1000, forward_ms=forward_s * 1000)
            if wants.timings
            else None,
        )
