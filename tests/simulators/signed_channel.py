"""A release channel in a folder, signed with keys made for a test: every attack is possible.

Real TUF metadata and real files; nothing of the publisher's, whose tests use the real client.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from outrider_edge.llama.gguf_header import read_header
from outrider_edge.releases.chunks import ChunkPlan
from outrider_edge.releases.delta import BLOCK_BYTES, DeltaHead, difference
from outrider_protos.fingerprint import fingerprint
from outrider_protos.release import (
    RELEASES_ROLE,
    Chunks,
    FormKind,
    GateFigures,
    Golden,
    Line,
    Release,
    Requirements,
    full_path,
    line_path,
)

CHUNK_BYTES = 1 << 16
_ROLES = ("root", "targets", "snapshot", "timestamp", RELEASES_ROLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A release as a test wants it."""

    number: int
    file: Path
    delta_from: Path | None = None
    adapter: Path | None = None
    adapter_base: Path | None = None
    golden: tuple[Golden, ...] = ()
    runtime: str = "0.1"
    tokenizer: str | None = None  # None: the file's own
    forms: tuple[str, ...] = ()  # signed for, whatever they are


class SignedChannel:
    """Change what is public, then `sign`: each signing is a new version of everything."""

    def __init__(self, folder: Path, line: str = "demo") -> None:
        self.folder, self.name = folder, line
        (folder / "metadata").mkdir(parents=True)
        (folder / "targets" / line).mkdir(parents=True)
        self.keys = {role: CryptoSigner.generate_ed25519() for role in _ROLES}
        self.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
        self.root = Root(expires=self.expires, consistent_snapshot=True)
        for role in _ROLES[:-1]:
            self.root.add_key(self.keys[role].public_key, role)
        online = self.keys[RELEASES_ROLE].public_key
        self.targets = Targets(
            expires=self.expires,
            delegations=Delegations(
                {online.keyid: online},
                {
                    RELEASES_ROLE: DelegatedRole(
                        RELEASES_ROLE, [online.keyid], 1, terminating=True, paths=["*/*"]
                    )
                },
            ),
        )
        self.releases = Targets(expires=self.expires)
        self.snapshot = Snapshot(expires=self.expires)
        self.timestamp = Timestamp(expires=self.expires)
        self.root_bytes = self.write("root", self.root)
        self.version = 0

    def publish(self, wish: Publication, line: Line) -> None:
        """Make a release public, and sign."""
        forms = list(wish.forms)
        if wish.delta_from is not None:
            forms.append(self._add_delta(wish, wish.delta_from))
        if wish.adapter is not None:
            assert wish.adapter_base is not None
            path = f"{self.name}/{wish.number}.adapter.gguf"
            self.add(path, wish.adapter.read_bytes(), _form("adapter", wish.adapter_base))
            forms.append(path)
        header = read_header(wish.file)
        release = Release(
            number=wish.number,
            mould="0" * 64,
            chunks=_chunks(wish.file),
            forms=tuple(forms),
            requirements=Requirements(
                architecture=header.architecture,
                tokenizer=wish.tokenizer or fingerprint(header.tokenizer()).hex(),
                runtime=wish.runtime,
            ),
            gate=GateFigures(
                answers=20, acceptance=0.9, before=0.8, difference_low=0.05, tokens_per_s=100.0
            ),
            golden=wish.golden,
        )
        self.add(full_path(self.name, wish.number), wish.file.read_bytes(), release.custom())
        self.point(line)

    def point(self, line: Line) -> None:
        """Say which releases there are for whom, and sign."""
        self.add(line_path(self.name), json.dumps(line.custom()).encode())
        self.sign()

    def add(self, path: str, data: bytes, custom: dict[str, Any] | None = None) -> Path:
        """A file under its digest; `custom` may lack the chunks."""
        target = TargetFile.from_data(path, data, ["sha256"])
        folder, name = path.split("/")
        stored = self.folder / "targets" / folder / f"{target.hashes['sha256']}.{name}"
        stored.write_bytes(data)
        if custom is not None:
            if "chunks" not in custom:
                custom = custom | {"chunks": _chunks(stored).custom()}
            target.unrecognized_fields["custom"] = custom
        self.releases.targets[path] = target
        return stored

    def sign(self) -> int:
        """New versions of all but the root; they have the number that is given."""
        self.version += 1
        self.targets.version = self.releases.version = self.version
        self.snapshot.version = self.timestamp.version = self.version
        self.snapshot.meta = {
            "targets.json": MetaFile(self.version),
            f"{RELEASES_ROLE}.json": MetaFile(self.version),
        }
        self.timestamp.snapshot_meta = MetaFile(self.version)
        self.write("targets", self.targets)
        self.write(RELEASES_ROLE, self.releases)
        self.write("snapshot", self.snapshot)
        self.write("timestamp", self.timestamp)
        return self.version

    def write(self, role: str, signed: Any, *signers: CryptoSigner) -> bytes:
        """Sign with the role's key, or with these, and let it be seen."""
        metadata: Metadata[Any] = Metadata(signed)
        for signer in signers or (self.keys[role],):
            metadata.sign(signer, append=True)
        data = metadata.to_bytes(JSONSerializer(validate=True))
        place = self.place(role, signed.version)
        partial = place.with_name(f"partial-{place.name}")
        partial.write_bytes(data)  # somebody may be reading the one before
        partial.replace(place)
        return data

    def place(self, role: str, version: int) -> Path:
        """Where metadata lies."""
        name = f"{role}.json" if role == "timestamp" else f"{version}.{role}.json"
        return self.folder / "metadata" / name

    def _add_delta(self, wish: Publication, base: Path) -> str:
        path = f"{self.name}/{wish.number}.from-{wish.number - 1}.delta"
        self.add(path, delta_of(base, wish.file), _form("delta", base))
        return path


def delta_of(base: Path, new: Path) -> bytes:
    """Compressed quickly: tests want the format, not the size."""
    import struct

    import zstandard

    before, after = base.read_bytes(), new.read_bytes()
    digests = (sha256(before).digest(), sha256(after).digest())
    data = DeltaHead(BLOCK_BYTES, len(after), *digests).packed()
    for first in range(0, len(after), BLOCK_BYTES):
        pair = before[first : first + BLOCK_BYTES], after[first : first + BLOCK_BYTES]
        frame = zstandard.ZstdCompressor(level=1).compress(difference(*pair))
        data += struct.pack("<I", len(frame)) + frame
    return data


def _form(kind: str, base: Path) -> dict[str, Any]:
    return {"kind": FormKind(kind).value, "base_sha256": sha256(base.read_bytes()).hexdigest()}


def _chunks(file: Path) -> Chunks:
    plan = ChunkPlan.of(file, CHUNK_BYTES)
    return Chunks(chunk_bytes=CHUNK_BYTES, digests=b"".join(plan.digests))
