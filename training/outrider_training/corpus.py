"""What of a store of records a draft may learn from, and what is kept back to judge it by.

Records of another tokenizer are never mixed in; shards that cannot be read are named and left out.
The newest answers of each domain are held out, and no prompt is on both sides. It knows no models.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import ShardError, Store
from outrider_training.errors import NothingToLearnError
from outrider_training.prompts import knows, prompt_digest


@dataclass(frozen=True, slots=True)
class Split:
    """Records by what they are for, the oldest first."""

    training: list[Record]
    held_out: list[Record]


@dataclass(slots=True)
class Corpus:
    """The records that may be used, and what was left out."""

    records: list[Record] = field(default_factory=list)
    tokens: int = 0
    other_tokenizer: int = 0  # records
    too_many: bool = False  # older ones were not read
    damaged: list[str] = field(default_factory=list)  # a line for each shard

    def split(self, held_share: float, known: Collection[bytes] = frozenset()) -> Split:
        """The newest share of each domain is held out, but for what goes on from a prompt that
        trains, or is among those `known` already.
        """
        by_domain: defaultdict[str, list[Record]] = defaultdict(list)
        for record in sorted(self.records, key=lambda each: each.time_s):
            by_domain[record.domain or ""].append(record)
        training: list[Record] = []
        newest: list[Record] = []
        for records in by_domain.values():
            border = len(records) - round(held_share * len(records))
            training += records[:border]
            newest += records[border:]
        seen = {prompt_digest(record.prompt) for record in training}.union(known)
        held_out = [record for record in newest if not knows(seen, record.prompt)]
        return Split(_by_time(training), _by_time(held_out))

    def domains(self) -> Counter[str]:
        """Records of each."""
        return Counter(record.domain or "" for record in self.records)


def read_corpus(
    store: Store, tokenizer: bytes, *, most_tokens: int, tenant: str | None = None
) -> Corpus:
    """The newest records up to a number of tokens, all in memory (about 0.6 KB a token).

    `tokenizer` is the draft's fingerprint. Raises NothingToLearnError, StoreError.
    """
    corpus = Corpus()
    for path in reversed(store.paths(tenant)):
        if corpus.tokens >= most_tokens:
            corpus.too_many = True
            break
        try:
            for record in store.read(path):
                _take(corpus, record, tokenizer)
        except ShardError as error:
            corpus.damaged.append(str(error))
    if not corpus.records:
        raise NothingToLearnError(_left_out(corpus))
    return corpus


def _left_out(corpus: Corpus) -> str:
    """What there was instead of records."""
    found = {
        "records of another tokenizer": corpus.other_tokenizer,
        "damaged shards": len(corpus.damaged),
    }
    said = " and ".join(f"{what} ({count:,})" for what, count in found.items() if count)
    return f"only {said}" if said else "no record was found"


def _take(corpus: Corpus, record: Record, tokenizer: bytes) -> None:
    if record.versions.tokenizer != tokenizer:
        corpus.other_tokenizer += 1
    elif record.prompt and record.tokens:
        corpus.records.append(record)
        corpus.tokens += len(record.tokens)


def _by_time(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.time_s)
