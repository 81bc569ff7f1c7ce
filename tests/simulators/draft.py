"""A simulated draft: right about the target's next token as often as it is told to be.

It keeps the `Draft` contract's bookkeeping (nodes below expanded nodes only) and fails loudly when
the loop breaks it, so that a bug in the loop cannot hide behind a forgiving simulator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from outrider_edge.draft import Candidate, Detail, Expansion, Leaf
from outrider_edge.errors import ContextFull
from outrider_protos.words import Sampling, TopRow

Oracle = Callable[[tuple[int, ...], Sampling], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftHabits:
    """How a simulated draft behaves."""

    vocabulary: int
    right: float = 0.7  # share of positions at which its first candidate is the target's choice
    second: float = 0.5  # where the first is wrong: share at which the second is right
    context_tokens: int = 10_000


class SimulatedDraft:
    """Deterministic: what it says depends on the text alone."""

    def __init__(self, habits: DraftHabits, oracle: Oracle) -> None:
        self._habits = habits
        self._oracle = oracle
        self._texts: dict[int, tuple[int, ...]] = {}
        self._sampling = Sampling()
        self.begun = 0

    def begin(self, log: Sequence[int], sampling: Sampling) -> None:
        assert log, "a draft needs at least one token"
        self._texts = {0: tuple(log)}
        self._sampling = sampling
        self.begun += 1

    def expand(self, leaves: Sequence[Leaf], detail: Detail) -> list[Expansion]:
        return [self._expansion(self._text(leaf), detail) for leaf in leaves]

    def prune(self, node: int) -> None:
        assert node in self._texts or node == 0

    def _text(self, leaf: Leaf) -> tuple[int, ...]:
        if leaf.node == 0:
            assert leaf.token == self._texts[0][-1], "the root is the log's last token"
        else:
            assert leaf.parent in self._texts, "a leaf hangs below an expanded node"
            self._texts[leaf.node] = (*self._texts[leaf.parent], leaf.token)
        text = self._texts[leaf.node]
        if len(text) > self._habits.context_tokens:
            raise ContextFull("simulated")
        return text

    def _expansion(self, text: tuple[int, ...], detail: Detail) -> Expansion:
        habits = self._habits
        truth = self._oracle(text, self._sampling)
        luck = _share(text, b"luck")
        others = [t for t in _shuffled(habits.vocabulary, text) if t != truth]
        if luck < habits.right:
            ranked = [truth, *others]
        elif luck < habits.right + (1 - habits.right) * habits.second:
            ranked = [others[0], truth, *others[1:]]
        else:
            ranked = others
        confidence = 0.05 + 0.9 * _share(text, b"confidence")
        top = TopRow(tuple(ranked[:2]), (confidence, (1 - confidence) / 2))
        return Expansion(
            candidates=tuple(
                Candidate(token, confidence / (rank + 1))
                for rank, token in enumerate(ranked[: detail.width])
            ),
            max_probability=confidence,
            entropy=1 - confidence if detail.entropy else None,
            top=top if detail.top_tokens else None,
        )


def _share(text: tuple[int, ...], salt: bytes) -> float:
    data = salt + b"".join(token.to_bytes(4, "little") for token in text[-6:])
    return int.from_bytes(blake2b(data, digest_size=4).digest(), "little") / 2**32


def _shuffled(vocabulary: int, text: tuple[int, ...]) -> list[int]:
    start = int(_share(text, b"start") * vocabulary)
    return [(start + i) % vocabulary for i in range(vocabulary)]
