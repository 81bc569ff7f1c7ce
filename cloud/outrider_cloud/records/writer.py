"""Gathers records into shards of a sensible size, never for longer than a sensible time.

It knows neither files nor models; when nothing happens for a while, whoever owns it calls `tick`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import Store, StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When a shard is full. Sizes are of the records in memory; files are smaller."""

    shard_bytes: int = 64 << 20  # of one tenant
    held_bytes: int = 256 << 20  # of all tenants together
    age_s: float = 600.0


@dataclass(slots=True)
class _Gathered:
    since_s: float
    records: list[Record] = field(default_factory=list)
    size_bytes: int = 0


class ShardWriter:
    """Use it as a context: what is gathered at the end is written. Raises StoreError."""

    def __init__(
        self,
        store: Store,
        rotation: Rotation = Rotation(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shards = self.written_tokens = self.lost_tokens = 0
        self._store, self._rotation, self._clock = store, rotation, clock
        self._gathered: dict[str, _Gathered] = {}  # by tenant

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write all that is gathered."""
        for tenant in list(self._gathered):
            self._write(tenant)

    def add(self, record: Record) -> None:
        """Take a record in, and write what is full."""
        gathered = self._gathered.setdefault(record.tenant, _Gathered(self._clock()))
        gathered.records.append(record)
        gathered.size_bytes += record.size_bytes
        if gathered.size_bytes >= self._rotation.shard_bytes:
            self._write(record.tenant)
        if sum(each.size_bytes for each in self._gathered.values()) >= self._rotation.held_bytes:
            self._write(max(self._gathered, key=lambda name: self._gathered[name].size_bytes))
        self.tick()

    def tick(self) -> None:
        """Write what has waited long enough."""
        oldest_s = self._clock() - self._rotation.age_s
        for tenant in [name for name, each in self._gathered.items() if each.since_s <= oldest_s]:
            self._write(tenant)

    def _write(self, tenant: str) -> None:
        """What cannot be written is lost: holding on to it would grow without bound."""
        records = self._gathered.pop(tenant).records
        tokens = sum(len(record.tokens) for record in records)
        try:
            self._store.write(tenant, records)
        except StoreError:
            self.lost_tokens += tokens
            raise
        self.shards += 1
        self.written_tokens += tokens
