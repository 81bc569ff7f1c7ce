"""The draft on llama.cpp: a tree of proposals over the KV cache of one small model."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from outrider_edge.draft import Detail, Expansion, Leaf
from outrider_edge.errors import BadInput, ContextFull, DraftError
from outrider_edge.llama.adapter import Adapter
from outrider_edge.llama.branches import ROOT, Branches, Run
from outrider_edge.llama.context import DEFAULTS, Context, ContextSettings
from outrider_edge.llama.model import Model
from outrider_edge.llama.readout import Readout
from outrider_protos.words import Sampling


class LlamaDraft:
    """Implements `outrider_edge.draft.Draft` over a model that other drafts may share.

    `begin` only cuts; what the KV lacks of the log is decoded together with the root by the first
    `expand`. After a DraftError everything is forgotten and the next `begin` starts from nothing;
    after a ContextFull all that was there stands.
    """

    def __init__(
        self,
        model: Model,
        settings: ContextSettings = DEFAULTS,
        adapter: Adapter | None = None,
    ) -> None:
        self._context = Context(model, settings, adapter)
        self._branches = Branches(self._context, settings.branches)
        self._readout = Readout(model.vocabulary.size)
        self._vocabulary_size = model.vocabulary.size
        self._most_leaves = settings.branches
        self._sampling = Sampling()
        self._base: list[int] = []  # the log before its last token
        self._held = 0  # how much of it has KV
        self._begun = False

    @property
    def context_tokens(self) -> int:
        """The longest text that can be drafted on."""
        return self._context.tokens

    @property
    def decoded_tokens(self) -> int:
        """Tokens decoded since the beginning, in all."""
        return self._context.decoded_tokens

    def begin(self, log: Sequence[int], sampling: Sampling) -> None:
        """See `Draft`. Raises ContextFull, or DraftError for an id outside the vocabulary."""
        if self._context.closed:
            raise DraftError("the draft is closed")
        tokens = list(log)
        if not tokens:
            raise BadInput("there is no text to draft on")
        if len(tokens) > self.context_tokens:
            raise ContextFull(f"the draft's context holds {self.context_tokens} tokens")
        sequence, common = self._common(tokens)
        held = min(common, len(tokens) - 1)
        self._check(tokens[held:])
        self._branches.restart(sequence, held, len(tokens) - 1, tokens[-1])
        self._base, self._held = tokens[:-1], held
        self._sampling = sampling
        self._begun = True

    def expand(self, leaves: Sequence[Leaf], detail: Detail) -> list[Expansion]:
        """See `Draft`. At most as many leaves as there are branches, all different.

        A leaf that was expanded before is decoded again; so are ancestors whose sequence was given
        away meanwhile.
        """
        if not self._begun:
            raise DraftError("the draft was not told the text")
        positions = self._positions(leaves)
        try:
            slots = self._decode(self._branches.place(leaves))
            return [
                self._readout.expansion(
                    self._context.row(slot), self._sampling, position + 1, detail
                )
                for slot, position in zip(slots, positions, strict=True)
            ]
        except ContextFull:
            raise
        except DraftError:
            self._forget()
            raise

    def prune(self, node: int) -> None:
        """See `Draft`."""
        self._branches.prune(node)

    def close(self) -> None:
        """Free the KV; the model stays open."""
        self._begun = False
        self._context.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _common(self, tokens: list[int]) -> tuple[int, int]:
        """The sequence that holds the longest prefix of the text, and its length."""
        held = _common_prefix(tokens, self._base[: self._held])
        below = tokens[held:] if held == self._held else []
        sequence, count = self._branches.longest(below)
        return sequence, held + count

    def _positions(self, leaves: Sequence[Leaf]) -> list[int]:
        """Where the leaves' tokens stand in the log; they become nodes."""
        if self._held < len(self._base) and [leaf.node for leaf in leaves] != [ROOT]:
            raise BadInput("after a new text the root is expanded first, alone")
        if not 1 <= len(leaves) <= self._most_leaves:
            raise BadInput(f"the draft expands 1 to {self._most_leaves} leaves at a time")
        if len(leaves) > 1 and len({leaf.node for leaf in leaves}) < len(leaves):
            raise BadInput("a leaf is asked for twice")
        self._check([leaf.token for leaf in leaves])
        positions = [self._branches.add(leaf) for leaf in leaves]
        if max(positions) >= self.context_tokens:
            raise ContextFull(f"the draft's context holds {self.context_tokens} tokens")
        return positions

    def _check(self, tokens: list[int]) -> None:
        for token in tokens:
            if not 0 <= token < self._vocabulary_size:
                raise DraftError("the text holds a token that the draft does not know")

    def _decode(self, runs: list[Run]) -> list[int]:
        """One decode of all runs, with what the log lacks; the batch slots of the leaves."""
        try:
            slots = self._attempt(runs)
        except ContextFull:
            if not self._branches.drop_all_but({run.sequence for run in runs}):
                raise
            slots = self._attempt(runs)
        self._held = len(self._base)
        for run in runs:
            self._branches.extend(run)
        return slots

    def _attempt(self, runs: list[Run]) -> list[int]:
        context, nodes, base = self._context, self._branches.nodes, len(self._base)
        if self._held < base:  # then the root is the only leaf there can be
            context.fill(self._base[self._held :], self._held, runs[0].sequence)
        slots = []
        for run in runs:
            for number in run.nodes[:-1]:
                node = nodes[number]
                context.fill([node.token], base + node.depth, run.sequence)
            leaf = nodes[run.nodes[-1]]
            slots.append(context.put(leaf.token, base + leaf.depth, run.sequence))
        context.decode()
        return slots

    def _forget(self) -> None:
        self._context.clear()
        self._branches.forget()
        self._base, self._held, self._begun = [], 0, False


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """By halves: comparing slices costs far less than a loop over a long log."""
    low, high = 0, min(len(left), len(right))
    if left[:high] == right[:high]:
        return high
    while high - low > 1:  # the first `low` agree, the first `high` do not
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low
