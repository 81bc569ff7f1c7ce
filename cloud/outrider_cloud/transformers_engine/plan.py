"""One forward, laid out: the works of all sessions side by side in one row of tokens.

Everything that the layers would otherwise compute again and again (slots, views, masks) is made
once here. Session KV lies in order: log position `p` is token `p`, the nodes of a proposal follow
their prefix in the order they came. This module does not know the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from outrider_cloud.engine import Work
from outrider_cloud.transformers_engine import tree
from outrider_cloud.transformers_engine.pages import Pages
from outrider_cloud.transformers_engine.pool import Pool, Reading

_MaskKey = tuple[int | None, int]


@dataclass(frozen=True, slots=True)
class Span:
    """One session's rows `begin` to `end` and what they may see."""

    work: Work
    begin: int
    end: int
    depths: list[int]  # per row 0 .. nodes, see `tree.depths`
    reading: Reading | None  # None where the plan has a block table
    _masks: dict[_MaskKey, Tensor | None] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens of KV the rows read, their own included."""
        return self.work.past + self.end - self.begin

    @property
    def first_judged(self) -> int:
        """The row of the last prefix token; all rows from here on are judged."""
        return self.begin + len(self.work.prefix) - 1

    def read(self, layer: int) -> tuple[Tensor, Tensor]:
        """The session's keys and values, see `Reading.of`."""
        assert self.reading is not None
        return self.reading.of(layer)

    def positions(self) -> list[int]:
        """Per row, its place in the text."""
        past, prefix = self.work.past, len(self.work.prefix)
        root = past + prefix - 1
        return [*range(past, root), *(root + depth for depth in self.depths)]

    def mask(self, query: Tensor, window: int | None, repeats: int) -> Tensor | None:
        """0 and -inf [1, 1, repeats * rows, length], None if every row sees everything."""
        if window is not None and window >= self.length:
            window = None
        if (window, repeats) not in self._masks:
            self._masks[window, repeats] = self._make_mask(query, window, repeats)
        return self._masks[window, repeats]

    def _make_mask(self, query: Tensor, window: int | None, repeats: int) -> Tensor | None:
        rows = self.end - self.begin
        if rows == 1 and window is None:
            return None
        past = self.work.past
        allowed = torch.ones(rows, self.length, dtype=torch.bool)
        allowed[:, past:] = torch.ones(rows, rows, dtype=torch.bool).tril_()
        if not tree.is_chain(self.work.parents):
            first = len(self.work.prefix)
            allowed[first:, past + first :] = torch.from_numpy(tree.ancestors(self.work.parents))
        if window is not None:  # the window counts places in the text, not slots
            own = torch.tensor(self.positions())
            seen = torch.cat((torch.arange(past), own))
            allowed &= own[:, None] - seen[None] < window
        mask = torch.zeros(allowed.shape, dtype=query.dtype).masked_fill_(~allowed, -torch.inf)
        return mask.repeat(repeats, 1)[None, None].to(query.device)


@dataclass(frozen=True, slots=True)
class BlockTable:
    """What paged attention kernels read: all int32, on the device."""

    row_bounds: Tensor  # [sessions + 1], rows before each session
    lengths: Tensor  # [sessions], tokens of KV
    pages: Tensor  # [sessions, pages of the longest]
    most_rows: int
    most_tokens: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What the attention of every layer needs to know of the forward in flight."""

    pool: Pool
    spans: list[Span]
    slots: Tensor  # int64 [rows], where each row's KV goes
    blocks: BlockTable | None  # only where a paged kernel is there and every proposal is a chain

    def tokens(self) -> Tensor:
        """Token ids int64 [1, rows]."""
        ids = [token for span in self.spans for token in (*span.work.prefix, *span.work.nodes)]
        return torch.tensor([ids], device=self.slots.device)

    def positions(self) -> Tensor:
        """Places in the text, int64 [1, rows]."""
        places = [place for span in self.spans for place in span.positions()]
        return torch.tensor([places], device=self.slots.device)

    def judged(self) -> Tensor:
        """The rows whose logits are wanted, int64 [judged rows]."""
        rows = [
            row
            for span in self.spans
            if span.work.judge
            for row in range(span.first_judged, span.end)
        ]
        return torch.tensor(rows, dtype=torch.int64, device=self.slots.device)


def make_plan(batch: Sequence[Work], pages: Pages, pool: Pool, *, paged_kernel: bool) -> Plan:
    """Lay out a batch whose sessions hold their pages already."""
    paged = paged_kernel and all(tree.is_chain(work.parents) for work in batch)
    spans: list[Span] = []
    slots: list[int] = []
    begin = 0
    for work in batch:
        end = begin + len(work.prefix) + len(work.nodes)
        length = work.past + end - begin
        lease = pages.lease(work.session)
        reading = None if paged else pool.reading(lease, length)
        spans.append(Span(work, begin, end, tree.depths(work.parents), reading))
        slots += pool.slots(lease, work.past, length)
        begin = end
    blocks = _block_table(spans, pages, pool) if paged else None
    return Plan(pool, spans, torch.tensor(slots, device=pool.device), blocks)


def _block_table(spans: Sequence[Span], pages: Pages, pool: Pool) -> BlockTable:
    tables = [pages.lease(span.work.session).pages for span in spans]
    width = max(map(len, tables))
    lengths = [span.length for span in spans]

    def tensor(numbers: list[int] | list[list[int]]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.int32, device=pool.device)

    return BlockTable(
        row_bounds=tensor([0, *(span.end for span in spans)]),
        lengths=tensor(lengths),
        pages=tensor([table + [0] * (width - len(table)) for table in tables]),
        most_rows=max(span.end - span.begin for span in spans),
        most_tokens=max(lengths),
    )
