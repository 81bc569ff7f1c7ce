"""`outrider-train data`: what lies in a store of records, and removing a tenant's.

It reads footers and records; it never changes one.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from outrider_cloud.records.record import Fate, Record
from outrider_cloud.records.shards import Shard, ShardError, Store


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file with a shard's name that cannot be read, and why."""

    path: str
    problem: str


def shards(store: Store, tenant: str | None) -> Iterator[Shard | Damaged]:
    """Every shard, the oldest first."""
    for path in store.paths(tenant):
        try:
            yield store.look(path)
        except ShardError as error:
            yield Damaged(path, str(error))


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """Records that may be learnt from together."""

    tenant: str
    domain: str
    target: str
    tokenizer: str  # fingerprint, hexadecimal
    mode: str


@dataclass(slots=True)
class Total:
    """Of the records of one kind."""

    records: int = 0
    tokens: int = 0
    own: int = 0
    accepted: int = 0
    corrected: int = 0

    def add(self, record: Record) -> None:
        fates = Counter(record.fates)
        self.records += 1
        self.tokens += len(record.tokens)
        self.own += fates[Fate.OWN]
        self.accepted += fates[Fate.ACCEPTED]
        self.corrected += fates[Fate.CORRECTED]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the records of a store are, and which shards could not be read to their end."""

    totals: dict[Kind, Total]
    damaged: list[Damaged]

    def rows(self) -> list[dict[str, object]]:
        return [asdict(kind) | asdict(total) for kind, total in sorted(self.totals.items())]


def inspect(store: Store, tenant: str | None) -> Inspection:
    """Read everything; a damaged shard counts as far as it can be read."""
    totals: dict[Kind, Total] = {}
    damaged = []
    for path in store.paths(tenant):
        try:
            for record in store.read(path):
                totals.setdefault(_kind(record), Total()).add(record)
        except ShardError as error:
            damaged.append(Damaged(path, str(error)))
    return Inspection(totals, damaged)


def _kind(record: Record) -> Kind:
    return Kind(
        tenant=record.tenant,
        domain=record.domain or "",
        target=record.versions.target,
        tokenizer=record.versions.tokenizer.hex(),
        mode="exact" if record.exact else "big-little",
    )
