"""Records as an Arrow table and back: the schema that shards are written in, with its version.

A row is one record; what belongs to its positions lies in lists, the `TOP_TOKENS` of all positions
one after the other. It knows no files.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from outrider_cloud.records.record import Fate, Record, Tops, Versions
from outrider_protos.words import Distance, Rollback, Sampling

VERSION: Final = "1"
_ROUNDING: Final = 1e-2  # of probabilities
_VERSION_KEY: Final = b"outrider.records"

_NAME: Final = pa.dictionary(pa.int32(), pa.string())
SCHEMA: Final = pa.schema(
    [
        pa.field("tenant", _NAME, nullable=False),
        pa.field("time_s", pa.float64(), nullable=False),
        pa.field("domain", _NAME),
        pa.field("target", _NAME, nullable=False),
        pa.field("tokenizer", pa.binary(), nullable=False),
        pa.field("runtime", _NAME, nullable=False),
        pa.field("draft", _NAME),
        pa.field("template", _NAME),
        pa.field("temperature", pa.float64(), nullable=False),
        pa.field("top_k", pa.uint32()),
        pa.field("top_p", pa.float64()),
        pa.field("seed", pa.uint64(), nullable=False),
        pa.field("distance", _NAME),
        pa.field("rollback", pa.float64()),
        pa.field("fallback", pa.float64()),
        pa.field("prompt", pa.list_(pa.int32()), nullable=False),
        pa.field("tokens", pa.list_(pa.int32()), nullable=False),
        pa.field("choices", pa.list_(pa.int32()), nullable=False),
        pa.field("fates", pa.list_(pa.int8()), nullable=False),
        pa.field("top_tokens", pa.list_(pa.int32()), nullable=False),
        pa.field("top_logprobs", pa.list_(pa.float32()), nullable=False),
        pa.field("tails", pa.list_(pa.float32()), nullable=False),
    ],
    metadata={_VERSION_KEY: VERSION.encode()},
)


class ForeignSchemaError(Exception):
    """A table that is no table of records, or one of another version."""


def to_table(records: Iterable[Record]) -> pa.Table:
    return pa.Table.from_pylist([_row(record) for record in records], schema=SCHEMA)


def check_schema(schema: pa.Schema) -> None:
    """Raises ForeignSchemaError."""
    version = (schema.metadata or {}).get(_VERSION_KEY)
    if version is None:
        raise ForeignSchemaError("holds no records")
    if version != VERSION.encode():
        found = version.decode(errors="replace")
        raise ForeignSchemaError(f"has records of version {found}, this program reads {VERSION}")
    if not schema.equals(SCHEMA):
        raise ForeignSchemaError("has columns that records do not have")


def from_batch(batch: pa.RecordBatch) -> Iterator[Record]:
    """Raises ForeignSchemaError for rows that contradict themselves."""
    columns = {name: batch.column(name) for name in SCHEMA.names}
    for index in range(batch.num_rows):
        try:
            record = _record({name: column[index] for name, column in columns.items()})
            _check(record)
            yield record
        except (ValueError, TypeError) as error:
            raise ForeignSchemaError(f"holds a record that contradicts itself: {error}") from error


def _row(record: Record) -> dict[str, Any]:
    rollback, sampling, versions = record.rollback, record.sampling, record.versions
    return {
        "tenant": record.tenant,
        "time_s": record.time_s,
        "domain": record.domain,
        "target": versions.target,
        "tokenizer": versions.tokenizer,
        "runtime": versions.runtime,
        "draft": versions.draft,
        "template": versions.template,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "distance": rollback and rollback.distance.value,
        "rollback": rollback and rollback.threshold,
        "fallback": record.fallback,
        "prompt": record.prompt,
        "tokens": record.tokens,
        "choices": record.choices,
        "fates": [fate.value for fate in record.fates],
        "top_tokens": record.tops.tokens.ravel(),
        "top_logprobs": record.tops.logprobs.ravel(),
        "tails": record.tops.tails,
    }


def _check(record: Record) -> None:
    """Raises ValueError for numbers that nobody wrote."""
    tops = record.tops
    ids = (record.prompt, record.tokens, record.choices, tops.tokens.ravel())
    if any(np.min(each, initial=0) < 0 for each in ids):
        raise ValueError("a token id is negative")
    if np.isnan(tops.logprobs).any() or (tops.logprobs > _ROUNDING).any():
        raise ValueError("a log-probability is none")
    if not ((tops.tails >= -_ROUNDING) & (tops.tails <= 1 + _ROUNDING)).all():
        raise ValueError("the mass of a tail is none")


def _record(row: dict[str, Any]) -> Record:
    def plain(name: str) -> Any:
        return row[name].as_py()

    threshold, distance = plain("rollback"), plain("distance")
    return Record(
        tenant=plain("tenant"),
        time_s=plain("time_s"),
        versions=Versions(
            target=plain("target"),
            tokenizer=plain("tokenizer"),
            runtime=plain("runtime"),
            draft=plain("draft"),
            template=plain("template"),
        ),
        prompt=tuple(plain("prompt")),
        tokens=tuple(plain("tokens")),
        choices=tuple(plain("choices")),
        fates=tuple(map(Fate, plain("fates"))),
        tops=_tops(row),
        sampling=Sampling(
            temperature=plain("temperature"),
            top_k=plain("top_k"),
            top_p=plain("top_p"),
            seed=plain("seed"),
        ),
        rollback=None
        if threshold is None
        else Rollback(threshold=threshold, distance=Distance(distance)),
        fallback=plain("fallback"),
        domain=plain("domain"),
    )


def _tops(row: dict[str, Any]) -> Tops:
    tails = _array(row["tails"])
    shape = (len(tails), -1) if len(tails) else (0, 0)
    return Tops(
        _array(row["top_tokens"]).reshape(shape), _array(row["top_logprobs"]).reshape(shape), tails
    )


def _array(scalar: pa.ListScalar) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = scalar.values.to_numpy()
    return values
