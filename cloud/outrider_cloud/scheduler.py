"""Who takes part in the next forward, and with how much: prompts, single tokens, proposed nodes.

Pure: no clock, no tensors, no words. It works under a budget of rows and one of KV pages, serves
the least recently served first, and judges only nodes that are expected to pay.

Pages: a session may put out sessions that want nothing now, the least recently fed first, and those
of younger generations; else it waits. So of two that do not fit together the older one goes on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from outrider_cloud.cost import Line, VerifyCost
from outrider_cloud.pool import KvPool
from outrider_cloud.session import Session
from outrider_cloud.trie import Node
from outrider_cloud.turn import Turn

_PROMPT_SHARE = 4  # one part in so many of the rows is kept for prompts while any waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one forward may hold."""

    rows: int
    nodes: int  # per session


class Scheduler:
    """Plans one forward after the other; the only memory is in the sessions and the pool."""

    def __init__(self, budget: Budget, pool: KvPool, cost: VerifyCost) -> None:
        self._budget = budget
        self._pool = pool
        self._cost = cost
        self._seats = count(1)

    def schedule(self, ready: Sequence[Session], now_s: float) -> list[Turn]:
        """At least one turn if any session is ready."""
        queue = sorted(ready, key=lambda session: (session.served, session.serial))
        batch = _Batch(self._budget, self._pool, self._cost, queue, self._seats, now_s)
        prompts = any(session.missing > 1 for session in queue)
        reserve = self._budget.rows // _PROMPT_SHARE if prompts else 0
        batch.rows_left -= reserve
        batch.add_nodes(batch.seat_tokens())
        batch.rows_left += reserve
        batch.add_nodes(batch.seat_prompts())
        return batch.turns


class _Batch:
    """One forward as it fills up."""

    def __init__(
        self,
        budget: Budget,
        pool: KvPool,
        cost: VerifyCost,
        queue: Sequence[Session],
        seats: Iterator[int],
        now_s: float,
    ) -> None:
        self.turns: list[Turn] = []
        self.rows_left = budget.rows
        self._rows = 0
        self._expected = 0.0  # tokens that will be committed
        self._budget = budget
        self._pool = pool
        self._cost = cost
        self._queue = queue
        self._seats = seats
        self._now_s = now_s
        self._seated: set[Session] = set()

    def seat_tokens(self) -> list[Turn]:
        """Sessions that lack only the last token's KV: one row each."""
        turns = []
        for session in self._queue:
            if self.rows_left < 1:
                break
            if session.missing == 1 and (turn := self._seat(session, 1)) is not None:
                turns.append(turn)
        return turns

    def seat_prompts(self) -> list[Turn]:
        """Sessions that lack more, in chunks; gives those that reach their log's end."""
        turns = []
        for session in self._queue:
            if self.rows_left < 1:
                break
            if session.missing > 1 and session not in self._seated:
                turn = self._seat(session, min(session.missing, self.rows_left))
                if turn is not None and turn.judge:
                    turns.append(turn)
        return turns

    def add_nodes(self, turns: Sequence[Turn]) -> None:
        """Judge nodes in falling order of the chance that they will stand.

        With infinite patience all are judged that fit. Otherwise a node must not lower the expected
        tokens per second of the whole forward: with E expected tokens in time t, chance p and slope
        b that is (E + p) / (t + b) >= E / t.
        """
        self._expected += len(turns)
        line = self._cost.line(self._rows)
        numbers = count()  # equal chances go in the order they came
        heap: list[tuple[float, int, Turn, Node, int]] = []

        def offer(turn: Turn, parent: Node, row: int, chance: float) -> None:
            for node in parent.children.values():
                share = chance * turn.session.acceptance.of(node.rank)
                heappush(heap, (-share, next(numbers), turn, node, row))

        for turn in turns:
            if turn.room and turn.trie is not None:
                offer(turn, turn.trie.pointer, 0, 1.0)
        while heap and self.rows_left > 0:
            falling, _, turn, node, row = heappop(heap)
            if self._worth(turn, node, -falling, line):
                self._take(turn, node, row, -falling)
                offer(turn, node, len(turn.nodes), -falling)

    def _worth(self, turn: Turn, node: Node, chance: float, line: Line) -> bool:
        session, trie = turn.session, turn.trie
        if trie is None or len(turn.nodes) >= turn.room or trie.at + node.depth > session.limit:
            return False
        if session.open.patience_ms is None:
            return True
        return chance * line.at(self._rows) >= line.slope_s * self._expected

    def _take(self, turn: Turn, node: Node, row: int, chance: float) -> None:
        node.judged = True
        turn.nodes.append(node)
        turn.parents.append(row)
        self._expected += chance
        self._rows += 1
        self.rows_left -= 1

    def _seat(self, session: Session, rows: int) -> Turn | None:
        """A turn of `rows` log tokens, if there are pages for all of the session."""
        length = len(session.log)
        room = self._room(session, length)
        if room and not self._pool.claim(session, length + room, self._idle()):
            room = 0  # nodes are not worth another's KV that is in use
        if not room and not self._pool.claim(session, length, self._victims(session)):
            return None
        ready_at_s = session.ready_at_s()
        turn = Turn(
            session=session,
            serial=session.serial,
            past=session.kv,
            fed=rows,
            judge=rows == session.missing,
            trie=session.trie,
            room=room,
            queue_s=0.0 if ready_at_s is None else self._now_s - ready_at_s,
        )
        self.turns.append(turn)
        self._seated.add(session)
        session.served = next(self._seats)
        self._rows += rows
        self.rows_left -= rows
        return turn

    def _room(self, session: Session, length: int) -> int:
        trie = session.trie
        if trie is None or not trie.pending:
            return 0
        return min(self._budget.nodes, trie.size, self._pool.tokens - length)

    def _victims(self, session: Session) -> Iterator[Session]:
        """Who may be put out for the session, the first ones first."""
        yield from self._idle()
        waiting = [other for other in self._queue if other not in self._seated]
        younger = [other for other in waiting if other.serial > session.serial]
        yield from sorted(
            (other for other in younger if other in self._pool), key=lambda other: -other.serial
        )

    def _idle(self) -> Iterator[Session]:
        ready = set(self._queue)
        yield from (holder for holder in self._pool.holders() if holder not in ready)
