"""A target without a model: its logits are a hash of the whole text before them.

It keeps an engine's contract to the letter. What a session's KV holds is remembered as the hash of
each prefix, so a token fed at a wrong place, or KV that should have gone, changes every later
choice; and calls that contradict the KV, the pages or the context fail at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from outrider_cloud.engine import EngineLimits, Verdict, Work
from outrider_cloud.errors import EngineError
from outrider_cloud.records.record import TOP_TOKENS, Tops
from outrider_protos import distance
from outrider_protos.choice import choose, log_probability
from outrider_protos.words import Distance, FinishReason, Rollback, Sampling, TopRow

_MASK = (1 << 64) - 1

SMALL = EngineLimits(
    pages=512, page_tokens=4, context_tokens=96, vocab_size=12, end_ids=frozenset({0})
)


@dataclass(frozen=True, slots=True)
class Alone:
    """What the target writes with nobody's help."""

    tokens: tuple[int, ...]  # after the given log
    reason: FinishReason


@dataclass(slots=True)
class _Kv:
    states: list[int]  # one per kept token, after the empty text's
    nodes: list[int] = field(default_factory=list)  # states of the last forward's nodes
    parents: tuple[int, ...] = ()


class SimulatedTarget:
    """An `Engine`. `failing` makes the next forward fail."""

    def __init__(
        self, limits: EngineLimits = SMALL, *, seed: int = 1, end_logit: float = -2.0
    ) -> None:
        self._limits = limits
        self._root = _mix(seed)
        self._end_logit = end_logit  # added to end tokens, so that texts are not too short
        self._ids = np.arange(1, limits.vocab_size + 1, dtype=np.uint64)
        self._kv: dict[int, _Kv] = {}
        self._judged: dict[int, dict[int, NDArray[np.float32]]] = {}  # of the last forward
        self._held: list[NDArray[np.float32]] = []
        self.failing = False
        self.batches: list[tuple[Work, ...]] = []  # every forward's works

    @property
    def limits(self) -> EngineLimits:
        return self._limits

    @property
    def held(self) -> dict[int, int]:
        """Tokens in each session's KV."""
        return {session: len(kv.states) - 1 for session, kv in self._kv.items()}

    def forward(self, batch: Sequence[Work]) -> list[Verdict | None]:
        if self.failing:
            self.failing = False
            raise EngineError("told to fail")
        assert batch, "a forward of nothing"
        assert len({work.session for work in batch}) == len(batch), "a session twice"
        self.batches.append(tuple(batch))
        before = self._pages()
        self._judged = {}
        verdicts = [self._one(work) for work in batch]
        after = self._pages()
        # An engine may feed the works in any order, so nobody may count on another's shrinking.
        most = sum(max(pages, before.get(session, 0)) for session, pages in after.items())
        assert most <= self._limits.pages, f"{most} pages are needed"
        return verdicts

    def hold(self, session: int, rows: Sequence[int]) -> None:
        assert all(row in self._judged[session] for row in rows), "rows that were not judged"
        self._held += [self._judged[session][row] for row in rows]

    def tops(self) -> Tops:
        logits, self._held = np.stack(self._held), []
        order = np.argsort(-logits, axis=1, kind="stable")[:, :TOP_TOKENS]
        powers = np.exp(logits.astype(np.float64))
        logprobs = np.log(powers / powers.sum(axis=1, keepdims=True))
        return Tops(
            order.astype(np.int32),
            np.take_along_axis(logprobs, order, 1).astype(np.float32),
            np.zeros(len(logits), np.float32),
        )

    def keep(self, session: int, nodes: Sequence[int]) -> None:
        kv = self._kv[session]
        parent = 0
        for node in nodes:
            assert kv.parents[node - 1] == parent, "the kept nodes are no path"
            kv.states.append(kv.nodes[node - 1])
            parent = node
        kv.nodes, kv.parents = [], ()

    def release(self, session: int) -> None:
        self._kv.pop(session, None)

    def alone(
        self,
        log: Sequence[int],
        sampling: Sampling = Sampling(),
        max_length: int | None = None,
        stop_ids: Sequence[int] = (),
    ) -> Alone:
        """The reference: one token after the other from `log` on."""
        limits = self._limits
        state = self._state(log)
        tokens: list[int] = []
        while True:
            length = len(log) + len(tokens) + 1
            token = choose(self._row(state), sampling, length - 1)
            tokens.append(token)
            state = _mix(state + token + 1)
            if token in limits.end_ids:
                return Alone(tuple(tokens), FinishReason.END_TOKEN)
            if token in stop_ids:
                return Alone(tuple(tokens), FinishReason.STOP_TOKEN)
            if length == max_length:
                return Alone(tuple(tokens), FinishReason.LENGTH)
            if length == limits.context_tokens:
                return Alone(tuple(tokens), FinishReason.CONTEXT)

    def logits(self, log: Sequence[int]) -> NDArray[np.float32]:
        """The row after `log`."""
        return self._row(self._state(log))

    def distance(self, log: Sequence[int], token: int, rule: Rollback, top: TopRow | None) -> float:
        """How far `token` is from what this target would write after `log`."""
        return _distance(self.logits(log), token, rule, top)

    def _one(self, work: Work) -> Verdict | None:
        self._check(work)
        kv = self._kv.setdefault(work.session, _Kv([self._root]))
        assert work.past < len(kv.states), "past what the KV holds"
        states = kv.states[: work.past + 1]
        for token in work.prefix:
            states.append(_mix(states[-1] + token + 1))
        rows, depths = [states[-1]], [0]
        for token, parent in zip(work.nodes, work.parents, strict=True):
            rows.append(_mix(rows[parent] + token + 1))
            depths.append(depths[parent] + 1)
        length = work.past + len(work.prefix)
        assert length + max(depths) <= self._limits.context_tokens, "beyond the context"
        self._kv[work.session] = _Kv(states, rows[1:], work.parents)
        return self._verdict(work, rows, [length + depth for depth in depths])

    def _verdict(self, work: Work, states: list[int], indices: list[int]) -> Verdict | None:
        if not work.judge:
            return None
        rows = [self._row(state) for state in states]
        self._judged[work.session] = dict(enumerate(rows))
        choices = tuple(
            choose(row, work.sampling, index) for row, index in zip(rows, indices, strict=True)
        )
        above = [rows[parent] for parent in work.parents]
        distances = choice_logprobs = node_logprobs = None
        if work.rollback is not None:
            tops = work.top or (None,) * len(work.nodes)
            rule = work.rollback
            distances = tuple(
                _distance(row, token, rule, top)
                for row, token, top in zip(above, work.nodes, tops, strict=True)
            )
        if work.logprobs:
            choice_logprobs = tuple(map(log_probability, rows, choices))
            node_logprobs = tuple(map(log_probability, above, work.nodes))
        return Verdict(
            choices=choices,
            distances=distances,
            choice_logprobs=choice_logprobs,
            node_logprobs=node_logprobs,
        )

    def _check(self, work: Work) -> None:
        assert work.past >= 0
        assert work.prefix, "nothing to take a row from"
        assert work.judge or not work.nodes, "nodes that nobody judges"
        assert all(0 <= parent <= node for node, parent in enumerate(work.parents))
        assert all(0 <= token < self._limits.vocab_size for token in work.prefix + work.nodes)
        if work.rollback is not None and work.rollback.distance is not Distance.SURPRISE:
            assert work.top is not None
            assert len(work.top) == len(work.nodes)

    def _state(self, log: Sequence[int]) -> int:
        state = self._root
        for token in log:
            state = _mix(state + token + 1)
        return state

    def _row(self, state: int) -> NDArray[np.float32]:
        """Logits between 0 and 4, without any order in them."""
        mixed = self._ids * np.uint64(0x9E3779B97F4A7C15) + np.uint64(state)
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)
        row = (mixed >> np.uint64(40)).astype(np.float32) / np.float32(1 << 22)
        row[list(self._limits.end_ids)] += np.float32(self._end_logit)
        return row

    def _pages(self) -> dict[int, int]:
        tokens = {name: len(kv.states) - 1 + len(kv.nodes) for name, kv in self._kv.items()}
        return {name: -(-count // self._limits.page_tokens) for name, count in tokens.items()}


def _mix(value: int) -> int:
    """A 64-bit finaliser (splitmix64): neighbours become strangers."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _distance(row: NDArray[np.float32], token: int, rule: Rollback, top: TopRow | None) -> float:
    if rule.distance is Distance.SURPRISE:
        return distance.surprise(log_probability(row, token))
    assert top is not None
    target = np.exp([log_probability(row, listed) for listed in top.tokens])
    if rule.distance is Distance.KULLBACK_LEIBLER:
        return distance.kullback_leibler(top.probabilities, target)
    return distance.total_variation(top.probabilities, target)
