"""The newest answers of each domain, kept back to judge drafts by until newer ones come.

So every answer is judged by before it is learnt from, and what is judged by is newer than what was
learnt. Pure; it knows no models.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from outrider_cloud.records.record import Record
from outrider_training.examples import prompt_digest


@dataclass(slots=True)
class HeldBack:
    """At most `most` answers of each domain."""

    most: int
    _newest: defaultdict[str, deque[Record]] = field(default_factory=lambda: defaultdict(deque))
    _learnt: set[bytes] = field(default_factory=set)  # prompts

    def take(self, record: Record) -> Record | None:
        """Keep the answer back; what may be learnt from instead, if anything.

        Answers whose text depends on a draft say nothing about another: they are learnt from at
        once, and so are repeated questions.
        """
        if not record.exact or prompt_digest(record.prompt) in self._learnt:
            return self._release(record)
        queue = self._newest[record.domain or ""]
        queue.append(record)
        return self._release(queue.popleft()) if len(queue) > self.most else None

    def answers(self) -> list[Record]:
        """To judge by: none with a prompt that was learnt from."""
        return [
            record
            for queue in self._newest.values()
            for record in queue
            if prompt_digest(record.prompt) not in self._learnt
        ]

    def _release(self, record: Record) -> Record:
        self._learnt.add(prompt_digest(record.prompt))
        return record
