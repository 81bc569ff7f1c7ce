"""A first model from a hub: which bytes are meant, then those bytes, checked by their digest.

What a process that died had fetched is not fetched again. It opens no connection of its own, and
it knows a hub's addresses from huggingface-hub.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from hashlib import sha1, sha256
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HFValidationError

from outrider_edge.errors import (
    BadInput,
    BadModelFile,
    BadRelease,
    BadSettings,
    Busy,
    ChannelUnavailable,
    NotOffered,
    StoreFailed,
)
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.web import Heading, Web

_NAME: Final = re.compile(
    r"hf:(?P<repo>[^/@]+/[^/@]+)/(?P<file>[^@]+\.gguf)(@(?P<revision>[\w./-]+))?", re.IGNORECASE
)
_SHA256: Final = re.compile("[0-9a-f]{64}")
_SHA1: Final = re.compile("[0-9a-f]{40}")
_SIZE: Final = re.compile("[0-9]{1,18}")
_PIECE_BYTES: Final = 1 << 20
_SLACK_BYTES: Final = 1 << 20  # for what a file system adds
_MOST_RENAMES: Final = 3
_MAX_TOKEN_BYTES: Final = 4096
_WITHHELD: Final = (401, 403, 404, 410)

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class HubFile:
    """`hf:ORG/REPO/FILE.gguf`, perhaps with `@REVISION`."""

    repo: str
    file: str
    revision: str

    @classmethod
    def parse(cls, text: str) -> "HubFile":
        """Raises BadInput."""
        found = _NAME.fullmatch(text)
        if found is None or not text.isprintable():
            raise BadInput(f"{text!r} is not hf:ORG/REPO/FILE.gguf")
        if any(part in ("", ".", "..") for part in found["file"].split("/")):
            raise BadInput(f"{text!r} names no file of a repository")
        try:
            hf_hub_url(found["repo"], found["file"])
        except HFValidationError as error:
            raise BadInput(f"{found['repo']} is no name of a repository") from error
        return cls(found["repo"], found["file"], found["revision"] or "main")

    def place(self, folder: Path) -> Path:
        """Where it lies below a folder for models."""
        return folder / self.repo / self.file


@dataclass(frozen=True, slots=True)
class _Known:
    """What the hub says of a file; `digest` is its SHA-256, or Git's SHA-1 of a small one."""

    url: str  # of one revision, which cannot change meanwhile
    size_bytes: int
    digest: str

    def fits(self, file: Path) -> bool:
        """Whether these are the bytes. Raises OSError."""
        if file.stat().st_size != self.size_bytes:
            return False
        digest = sha256() if len(self.digest) == 64 else sha1(usedforsecurity=False)
        if len(self.digest) == 40:
            digest.update(f"blob {self.size_bytes}\0".encode())
        with file.open("rb") as data:
            while piece := data.read(_PIECE_BYTES):
                digest.update(piece)
        return digest.hexdigest() == self.digest


def fetch(wanted: HubFile, target: Path, web: Web, told: Told) -> None:
    """Write `target`, whole or not at all. `told` hears of bytes that are there, and of all.

    Raises NotOffered, ChannelUnavailable, BadRelease for other bytes than announced, BadInput for
    what is no GGUF file, Busy while another process fetches it, StoreFailed.
    """
    fields = _fields()
    known = _look(wanted, web, fields)
    partial = target.with_name(f"{target.name}.{known.digest[:16]}.partial")
    try:
        if target.is_file() and known.fits(target):
            told(known.size_bytes, known.size_bytes)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(partial, known)
        with _alone(partial) as file:
            _fill(file, known, web, fields, told)
            _check(partial, known, target.name)
            os.replace(partial, target)
    except OSError as error:
        raise StoreFailed(f"{target.name}: {error.strerror or error}") from error


# ---- what the hub says


def _look(wanted: HubFile, web: Web, fields: dict[str, str]) -> _Known:
    name = f"{wanted.repo}/{wanted.file}"
    found = _renamed(_url(wanted, wanted.revision), web, fields)
    if found.status in _WITHHELD:
        raise NotOffered(
            f"the hub does not give {name} ({found.status}): is that its name, and may HF_TOKEN "
            "have it?"
        )
    if found.status >= 400:
        raise ChannelUnavailable(f"the hub says {found.status} to {name}: try again later")
    said = found.fields
    digest = said.get("x-linked-etag", said.get("etag", "")).removeprefix("W/").strip('"')
    # The length of a redirect is its own.
    size = said.get("x-linked-size", said.get("content-length", "") if found.status == 200 else "")
    if not _SIZE.fullmatch(size) or not (_SHA256.fullmatch(digest) or _SHA1.fullmatch(digest)):
        raise ChannelUnavailable(f"the hub does not say what {name} is")
    commit = said.get("x-repo-commit", wanted.revision)
    return _Known(_url(wanted, commit), int(size), digest)


def _url(wanted: HubFile, revision: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return hf_hub_url(wanted.repo, wanted.file, revision=revision, endpoint=endpoint.rstrip("/"))


def _renamed(url: str, web: Web, fields: dict[str, str]) -> Heading:
    """Followed within the hub alone: elsewhere nobody knows the digest."""
    parts = urlsplit(url)
    for _ in range(_MOST_RENAMES):
        found = web.look(url, fields)
        target = found.fields.get("location", "")
        if found.status not in (301, 302, 307, 308) or not target.startswith("/"):
            return found
        url = f"{parts.scheme}://{parts.netloc}{target}"
    raise ChannelUnavailable("the hub sends from one address to the next without end")


def _fields() -> dict[str, str]:
    """Not asked of huggingface-hub, which may go and refresh a token: nobody would count that."""
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return {}
    token = os.environ.get("HF_TOKEN", "").strip() or _kept_token()
    if not token:
        return {}
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadSettings("HF_TOKEN does not hold one token")
    return {"Authorization": f"Bearer {token}"}


def _kept_token() -> str:
    """Of `hf auth login`."""
    try:
        with Path(constants.HF_TOKEN_PATH).open("rb") as file:
            return file.read(_MAX_TOKEN_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


# ---- the bytes


def _check_room(partial: Path, known: _Known) -> None:
    """Before the first byte; what is left of other versions goes."""
    stem = partial.name.removesuffix(".partial").rpartition(".")[0]
    for other in partial.parent.glob(f"{escape(stem)}.{'[0-9a-f]' * 16}.partial"):
        if other != partial:
            other.unlink(missing_ok=True)
    lacking = known.size_bytes - (partial.stat().st_size if partial.exists() else 0)
    free = shutil.disk_usage(partial.parent).free
    if free < lacking + _SLACK_BYTES:
        raise StoreFailed(f"the disk has {free:,} bytes left, {lacking:,} are needed")


@contextmanager
def _alone(partial: Path) -> Iterator[IO[bytes]]:
    """To write it, and nobody else does. Raises Busy."""
    with partial.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it may just have put it in its place, or thrown it away.
            mine = os.path.samestat(os.fstat(file.fileno()), partial.stat())
        except (BlockingIOError, FileNotFoundError):
            mine = False
        if not mine:
            raise Busy("another process is fetching this file")
        yield file


def _fill(file: IO[bytes], known: _Known, web: Web, fields: dict[str, str], told: Told) -> None:
    there = os.fstat(file.fileno()).st_size
    if there > known.size_bytes:
        there = file.truncate(0)
    told(there, known.size_bytes)
    try:
        for piece in web.read(known.url, there, known.size_bytes - there, fields):
            file.write(piece)
            file.flush()  # so that it outlives this process
            there += len(piece)
            told(there, known.size_bytes)
        if there < known.size_bytes:
            raise ChannelUnavailable("the file ended too early")
    except ChannelUnavailable as error:
        raise ChannelUnavailable(f"{error}; what has come stays, so try again") from error
    os.fsync(file.fileno())


def _check(partial: Path, known: _Known, name: str) -> None:
    try:
        if not known.fits(partial):
            raise BadRelease(f"{name} is not what the hub announced: it was thrown away")
        read_header(partial)
    except BadModelFile as error:
        partial.unlink()
        raise BadInput(f"{name}: {error.problem}") from error
    except BadRelease:
        partial.unlink()
        raise
