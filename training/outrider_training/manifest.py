"""What a draft has learnt from, in a file beside it: nobody may judge it by that.

It names the draft's digest, so that it speaks of no other file, and holds digests of prompts, never
prompts. A draft without one is taken to have learnt from no record.
"""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

from outrider_training.errors import ModelUnreadableError, TargetUnwritableError


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal. Raises ModelUnreadableError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelUnreadableError(path, error.strerror or str(error)) from error


def write_manifest(draft: Path, sha256: str, learnt: Collection[bytes]) -> None:
    """For a draft that will lie there. Raises TargetUnwritableError."""
    path = _place(draft)
    partial = path.with_name(f"{path.name}.partial")
    prompts = sorted(digest.hex() for digest in learnt)
    try:
        partial.write_text(json.dumps({"sha256": sha256, "prompts": prompts}), encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise TargetUnwritableError(path, error.strerror or str(error)) from error


def manifest_of(draft: Path) -> frozenset[bytes]:
    """Digests of the prompts that a draft has learnt from. Raises ModelUnreadableError where what
    lies beside it is no manifest, or another file's.
    """
    path = _place(draft)
    if not path.is_file():
        return frozenset()
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        prompts, sha256 = frozenset(map(bytes.fromhex, kept["prompts"])), kept["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnreadableError(path, "it is no manifest of a training") from error
    if draft.is_file() and sha256 != sha256_of(draft):
        raise ModelUnreadableError(path, f"it speaks of another file than {draft.name}")
    return prompts


def remove_with_manifest(draft: Path) -> None:
    """The draft first: what is left alone is a manifest of nothing."""
    draft.unlink(missing_ok=True)
    _place(draft).unlink(missing_ok=True)


def _place(draft: Path) -> Path:
    return draft.with_suffix(".trained.json")
