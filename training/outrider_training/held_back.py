"""The newest answers of each domain, kept back to judge drafts by until newer ones come.

So every answer is judged by before it is learnt from, and what is judged by is newer than what was
learnt. Pure; it knows no models.
"""

from collections import defaultdict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from outrider_cloud.records.record import Record
from outrider_training.prompts import knows, prompt_digest

_MOST_PROMPTS: Final = 1 << 17  # remembered as learnt: 16 bytes each, and what Python adds


@dataclass(slots=True)
class HeldBack:
    """At most `most` answers of each domain."""

    most: int
    learnt: dict[bytes, None] = field(default_factory=dict)  # digests of prompts, the oldest first
    _newest: defaultdict[str, deque[Record]] = field(default_factory=lambda: defaultdict(deque))

    def take(self, record: Record) -> Record | None:
        """Keep the answer back; what may be learnt from instead, if anything.

        Answers whose text depends on a draft say nothing about another: they are learnt from at
        once, and so are repeated questions.
        """
        if not record.exact or knows(self.learnt, record.prompt):
            return self._release(record)
        queue = self._newest[record.domain or ""]
        queue.append(record)
        return self._release(queue.popleft()) if len(queue) > self.most else None

    def answers(self) -> list[Record]:
        """To judge by: none with a prompt that was learnt from."""
        return [record for record in self.kept() if not knows(self.learnt, record.prompt)]

    def keep(self, record: Record) -> None:
        """Back, as it was before."""
        self._newest[record.domain or ""].append(record)

    def kept(self) -> list[Record]:
        """All that is kept back."""
        return [record for queue in self._newest.values() for record in queue]

    def forget(self, tenants: Collection[str]) -> None:
        """Let go of all that is kept back of these; nothing of it is learnt from."""
        for queue in self._newest.values():
            kept = [record for record in queue if record.tenant not in tenants]
            queue.clear()
            queue.extend(kept)

    def _release(self, record: Record) -> Record:
        self.learnt[prompt_digest(record.prompt)] = None
        if len(self.learnt) > _MOST_PROMPTS:
            del self.learnt[next(iter(self.learnt))]
        return record
