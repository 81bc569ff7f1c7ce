"""New shards of a store, as they come, and which have gone again.

A damaged one is named once and left alone. It does not know what records are for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import ShardError, Store, StoreError, tenant_of


@dataclass(slots=True)
class Follower:
    """Remembers which of the shards that are there it has read."""

    store: Store
    tokenizer: bytes  # fingerprint; records of another are counted and left out
    tenant: str | None = None
    other_tokenizer: int = 0
    damaged: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    begun: dict[str, int] = field(default_factory=dict)  # records taken of shards not read whole

    def news(self) -> Iterator[Record]:
        """Records of shards that were not there before, the oldest first. Raises StoreError."""
        for path in self.store.paths(self.tenant):
            if path in self.seen:
                continue
            taken = self.begun.get(path, 0)
            try:
                for count, record in enumerate(self._read(path), start=1):
                    if count > taken:
                        self.begun[path] = count
                        yield record
            except ShardError as error:
                self.damaged.append(str(error))
            self.seen.add(path)
            self.begun.pop(path, None)

    def again(self, wanted: Callable[[Record], bool], count: int) -> list[Record]:
        """Records read before that are wanted, at most so many, the newest shards looked through
        first; the oldest record comes first. Raises StoreError.
        """
        found: list[Record] = []
        for path in reversed(self.store.paths(self.tenant)):
            if len(found) >= count:
                break
            if path in self.seen or path in self.begun:
                try:
                    found += [record for record in self._read(path) if wanted(record)]
                except ShardError as error:
                    self.damaged.append(str(error))
        return sorted(found[:count], key=lambda record: record.time_s)

    def gone(self) -> set[str]:
        """Tenants who have fewer shards than before; those are forgotten.

        Raises StoreError, also for a store that was there and is not: nobody deletes all at once.
        """
        known = self.seen | self.begun.keys()
        if known and not self.store.exists():
            raise StoreError("the store of records is not there any more")
        missing = known.difference(self.store.paths(self.tenant))
        self.seen -= missing
        for path in missing:
            self.begun.pop(path, None)
        return {tenant_of(path) for path in missing}

    def _read(self, path: str) -> Iterator[Record]:
        for record in self.store.read(path):
            if record.versions.tokenizer != self.tokenizer:
                self.other_tokenizer += 1
            elif record.prompt and record.tokens:
                yield record
