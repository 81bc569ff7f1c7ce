"""New shards of a store, as they come. A damaged one is named once and left alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import ShardError, Store


@dataclass(slots=True)
class Follower:
    """Remembers what it has read."""

    store: Store
    tokenizer: bytes  # fingerprint; records of another are counted and left out
    tenant: str | None = None
    other_tokenizer: int = 0
    damaged: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def news(self) -> Iterator[Record]:
        """Records of shards that were not there before, the oldest first. Raises StoreError."""
        for path in self.store.paths(self.tenant):
            if path in self._seen:
                continue
            self._seen.add(path)
            try:
                yield from self._read(path)
            except ShardError as error:
                self.damaged.append(str(error))

    def _read(self, path: str) -> Iterator[Record]:
        for record in self.store.read(path):
            if record.versions.tokenizer != self.tokenizer:
                self.other_tokenizer += 1
            elif record.prompt and record.tokens:
                yield record
