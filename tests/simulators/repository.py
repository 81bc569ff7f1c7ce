"""A TUF repository in a folder: real metadata, signed by a key made for it, with any files."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from outrider_protos.release import RELEASES_ROLE, Line, full_path, line_path

_EXPIRES = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


class SimulatedRepository:
    """Every `publish` makes a higher version of everything. One key signs all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = 0
        self.files: dict[str, TargetFile] = {}
        self._signer = CryptoSigner.generate_ed25519()
        (folder / "metadata").mkdir(parents=True)
        (folder / "targets").mkdir()
        root = Root(expires=_EXPIRES, consistent_snapshot=True)
        for role in ("root", "targets", "snapshot", "timestamp"):
            root.add_key(self._key, role)
        self._write(root, "1.root.json")

    @property
    def _key(self) -> Key:
        return self._signer.public_key

    def add_release(self, line: str, number: int, data: bytes, *others: str) -> str:
        """Its full file, and further ones of the same bytes. Gives the path of the full one."""
        for name in others:
            self._add(f"{line}/{name}", data)
        return self._add(full_path(line, number), data)

    def set_line(self, name: str, line: Line) -> None:
        self._add(line_path(name), line.model_dump_json().encode())

    def publish(self) -> int:
        """The new version of the timestamp."""
        self.version += 1
        named: dict[str, Any] = {"version": self.version, "expires": _EXPIRES}
        role = DelegatedRole(RELEASES_ROLE, [self._key.keyid], 1, True, paths=["*/*"])
        delegations = Delegations({self._key.keyid: self._key}, {RELEASES_ROLE: role})
        self._write(Targets(**named, targets=self.files), f"{self.version}.{RELEASES_ROLE}.json")
        self._write(Targets(**named, delegations=delegations), f"{self.version}.targets.json")
        listed = {f"{name}.json": MetaFile(self.version) for name in ("targets", RELEASES_ROLE)}
        self._write(Snapshot(**named, meta=listed), f"{self.version}.snapshot.json")
        self._write(Timestamp(**named, snapshot_meta=MetaFile(self.version)), "timestamp.json")
        return self.version

    def _add(self, path: str, data: bytes) -> str:
        line, name = path.split("/")
        digest = sha256(data).hexdigest()
        stored = f"targets/{line}/{digest}.{name}"
        (self.folder / "targets" / line).mkdir(exist_ok=True)
        (self.folder / stored).write_bytes(data)
        self.files[path] = TargetFile(len(data), {"sha256": digest}, path)
        return stored

    def _write(self, signed: Root | Targets | Snapshot | Timestamp, name: str) -> None:
        metadata: Metadata[Any] = Metadata(signed)
        metadata.sign(self._signer)
        partial = self.folder / "metadata" / f"partial-{name}"
        partial.write_bytes(metadata.to_bytes())
        partial.replace(self.folder / "metadata" / name)


def example_repository(folder: Path) -> SimulatedRepository:
    """A line `main` with release 1 for all and 2 for half, published."""
    repository = SimulatedRepository(folder)
    repository.add_release("main", 1, b"first draft")
    repository.add_release("main", 2, b"second draft", "2.from-1.delta", "2.adapter.gguf")
    repository.set_line("main", Line(stable=1, next=2, percent=50))
    repository.publish()
    return repository
