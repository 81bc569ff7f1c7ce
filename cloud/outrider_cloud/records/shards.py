"""Shards: Parquet files of records, a folder for each tenant, on any file system fsspec knows.

A shard is written under another name and renamed when it is whole: whatever happens, a file with a
shard's name is one. The name holds a digest of the bytes, looked at before they are read. A
tenant's records are in no other folder than the tenant's, so deleting them removes their bytes. It
knows neither models nor where records come from.
"""

import io
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote, unquote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from outrider_cloud.records.record import Record
from outrider_cloud.records.schema import ForeignSchemaError, check_schema, from_batch, to_table

_SUFFIX: Final = ".parquet"
_PARTIAL: Final = ".partial"
_TENANT: Final = "tenant="
_NAMED: Final = re.compile(r"-([0-9a-f]{32})\.parquet$")  # digest of the bytes
_BATCH_RECORDS: Final = 256  # in memory at once while reading


def tenant_of(path: str) -> str:
    """Whose a shard is."""
    return unquote(path.rsplit("/", 2)[-2].removeprefix(_TENANT))


class ShardError(Exception):
    """A shard that cannot be read; the text names it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path.rsplit('/', 1)[-1]} {problem}")
        self.path = path


class StoreError(Exception):
    """The place where shards lie cannot be used: not there, not writable, full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file, by what its footer says."""

    path: str
    tenant: str
    size_bytes: int
    records: int


class Store:
    """All shards below a folder or URL. Raises StoreError where the place cannot be used."""

    def __init__(self, url: str) -> None:
        try:
            self._files, self._root = fsspec.url_to_fs(url)
        except (ValueError, ImportError, OSError) as error:
            raise StoreError(f"{url} cannot be used: {error}") from error
        self._root = self._root.rstrip("/")

    def write(self, tenant: str, records: Sequence[Record]) -> str:
        """One shard of one tenant's records; its path. Nothing is left of one that failed."""
        buffer = io.BytesIO()
        pq.write_table(to_table(records), buffer, compression="zstd")
        data = buffer.getvalue()
        first_ms = int(1000 * min(record.time_s for record in records))
        folder = self._folder(tenant)
        name = f"{first_ms:014d}-{secrets.token_hex(8)}-{_digest(data)}{_SUFFIX}"
        path = f"{folder}/{name}"
        partial = path + _PARTIAL
        try:
            self._files.makedirs(folder, exist_ok=True)
            self._files.pipe_file(partial, data)
            self._files.mv(partial, path)
        except OSError as error:
            self._remove_quietly(partial)
            raise StoreError(f"a shard cannot be written: {_reason(error)}") from error
        return path

    def paths(self, tenant: str | None = None) -> list[str]:
        """Of every shard, the oldest first."""
        folder = self._root if tenant is None else self._folder(tenant)
        try:
            found = self._files.find(folder) if self._files.exists(folder) else []
        except OSError as error:
            raise StoreError(f"shards cannot be listed: {_reason(error)}") from error
        return sorted((path for path in found if path.endswith(_SUFFIX)), key=_name)

    def exists(self) -> bool:
        """Whether there is such a place at all. Raises StoreError."""
        try:
            return bool(self._files.exists(self._root))
        except OSError as error:
            raise StoreError(f"shards cannot be listed: {_reason(error)}") from error

    def look(self, path: str) -> Shard:
        """What the footer says, without the records. Raises ShardError."""
        with self._open(path) as file:
            records = file.metadata.num_rows
        return Shard(
            path=path,
            tenant=tenant_of(path),
            size_bytes=self._files.size(path),
            records=records,
        )

    def read(self, path: str) -> Iterator[Record]:
        """Its records, all of the file's bytes being what was written. Raises ShardError."""
        with self._open(path, whole=True) as file:
            try:
                for batch in file.iter_batches(_BATCH_RECORDS):
                    yield from from_batch(batch)
            except _UNREADABLE as error:
                raise ShardError(path, _problem(error)) from error

    def delete(self, tenant: str) -> int:
        """Remove all shards of a tenant and what is left of unfinished ones; the bytes removed."""
        folder = self._folder(tenant)
        try:
            if not self._files.exists(folder):
                return 0
            removed = sum(int(self._files.size(path)) for path in self._files.find(folder))
            self._files.rm(folder, recursive=True)
        except OSError as error:
            raise StoreError(f"shards cannot be deleted: {_reason(error)}") from error
        return removed

    def _folder(self, tenant: str) -> str:
        return f"{self._root}/{_TENANT}{quote(tenant, safe='')}"

    def _open(self, path: str, *, whole: bool = False) -> pq.ParquetFile:
        try:
            if whole:
                data = self._files.cat_file(path)
                if (named := _NAMED.search(path)) is not None and named[1] != _digest(data):
                    raise ShardError(path, "is damaged")
                source: Any = io.BytesIO(data)
            else:
                source = self._files.open(path, "rb")
            file = pq.ParquetFile(source)
            check_schema(file.schema_arrow)
        except _UNREADABLE as error:
            raise ShardError(path, _problem(error)) from error
        return file

    def _remove_quietly(self, path: str) -> None:
        try:
            self._files.rm_file(path)
        except OSError:
            return


# Arrow reports some damage as a text that is not UTF-8, which is a ValueError, or runs out of
# memory for a length that nobody wrote.
_UNREADABLE: Final = (ForeignSchemaError, pa.ArrowException, OSError, ValueError, MemoryError)


def _digest(data: bytes) -> str:
    """Of a whole file: Parquet's own checksums leave out its footer."""
    return blake2b(data, digest_size=16).hexdigest()


def _name(path: str) -> str:
    """Begins with the time of the oldest record."""
    return path.rsplit("/", 1)[-1]


def _problem(error: Exception) -> str:
    return str(error) if isinstance(error, ForeignSchemaError) else "is damaged"


def _reason(error: Any) -> str:
    return error.strerror or type(error).__name__
