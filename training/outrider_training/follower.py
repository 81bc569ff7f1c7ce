"""New shards of a store, as they come, and which have gone again.

A damaged one is named once and left alone. It does not know what records are for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import ShardError, Store, tenant_of


@dataclass(slots=True)
class Follower:
    """Remembers which of the shards that are there it has read."""

    store: Store
    tokenizer: bytes  # fingerprint; records of another are counted and left out
    tenant: str | None = None
    other_tokenizer: int = 0
    damaged: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    under_way: tuple[str, int] | None = None  # a shard, and how many of its records were taken

    def news(self) -> Iterator[Record]:
        """Records of shards that were not there before, the oldest first. Raises StoreError."""
        for path in self.store.paths(self.tenant):
            if path in self.seen:
                continue
            try:
                for count, record in enumerate(self._read(path), start=1):
                    if self.under_way is None or self.under_way[0] != path:
                        self.under_way = path, 0
                    if count > self.under_way[1]:
                        self.under_way = path, count
                        yield record
            except ShardError as error:
                self.damaged.append(str(error))
            self.seen.add(path)
            self.under_way = None

    def again(self, most: int) -> list[Record]:
        """The newest of those read before, about so many, the oldest first. Raises StoreError."""
        shards: list[list[Record]] = []
        for path in reversed(self.store.paths(self.tenant)):
            if sum(map(len, shards)) >= most:
                break
            begun, taken = self.under_way or (None, 0)
            if path in self.seen or path == begun:
                try:
                    shards.append(list(islice(self._read(path), taken if path == begun else None)))
                except ShardError as error:
                    self.damaged.append(str(error))
        return [record for shard in reversed(shards) for record in shard]

    def gone(self) -> set[str]:
        """Tenants who have fewer shards than before; those are forgotten. Raises StoreError."""
        begun = {self.under_way[0]} if self.under_way is not None else set()
        missing = (self.seen | begun).difference(self.store.paths(self.tenant))
        self.seen -= missing
        if begun & missing:
            self.under_way = None
        return {tenant_of(path) for path in missing}

    def _read(self, path: str) -> Iterator[Record]:
        for record in self.store.read(path):
            if record.versions.tokenizer != self.tokenizer:
                self.other_tokenizer += 1
            elif record.prompt and record.tokens:
                yield record
