"""What a signed release says of itself: its files, where it fits, and what its gate found.

Both sides read and write it through here. It travels in TUF metadata, as the `custom` field of a
target, or, for a `Line`, as a target of its own. It knows neither keys nor how files are fetched.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from enum import Enum
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainSerializer,
    PlainValidator,
    ValidationError,
)

from outrider_protos.errors import MalformedMessage
from outrider_protos.limits import MAX_TOKEN_ID

RELEASES_ROLE: Final = "releases"  # the delegated TUF role that signs drafts
MAX_RELEASE_NUMBER: Final = (1 << 31) - 1
MAX_CHUNKS: Final = 4096
MAX_WITHDRAWN: Final = 64  # that a line names, the newest
MAX_CHUNK_BYTES: Final = 1 << 24
_LEAST_CHUNK_BYTES: Final = 1 << 18
_DIGEST_BYTES: Final = 32
_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"
_BUCKETS: Final = 10_000


def _digests(value: object) -> bytes:
    data = b64decode(value, validate=True) if isinstance(value, str) else value
    if not isinstance(data, bytes) or len(data) % _DIGEST_BYTES:
        raise ValueError("are not whole digests")
    return data


def _number(value: object) -> object:
    return float(value) if isinstance(value, str) else value


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
LineName = Annotated[str, Field(pattern=_NAME)]
Number = Annotated[int, Field(ge=1, le=MAX_RELEASE_NUMBER)]
# As text where it is signed: canonical JSON has no fractions.
Figure = Annotated[FiniteFloat, BeforeValidator(_number), PlainSerializer(repr, when_used="json")]
Share = Annotated[Figure, Field(ge=0, le=1)]
Pair = Annotated[tuple[Share, Share], Field(strict=False)]
TokenId = Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)]
Digests = Annotated[
    bytes, PlainValidator(_digests), PlainSerializer(lambda data: b64encode(data).decode())
]


class _Signed(BaseModel):
    """What a newer publisher says besides is left alone: an older device still reads the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    @classmethod
    def parse(cls, custom: object) -> Self:
        """Raises MalformedMessage."""
        try:
            return cls.model_validate(custom)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise MalformedMessage(
                f"a signed description of a draft is wrong at {where}"
            ) from error

    @classmethod
    def parse_json(cls, data: bytes) -> Self:
        """Raises MalformedMessage."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise MalformedMessage("a signed description of a draft is malformed") from error

    def custom(self) -> dict[str, Any]:
        """For TUF: plain JSON values."""
        return self.model_dump(mode="json")


class Line(_Signed):
    """`LINE/line.json`: which releases of a line there are for whom.

    All devices may have `stable`; the share `percent` of them may have `next`, unless it is held.
    Nobody should keep what is `withdrawn`; what was merely followed by newer ones may be kept.
    """

    stable: Number | None = None
    next: Number | None = None
    percent: Annotated[int, Field(ge=0, le=100)] = 0
    held: bool = False
    withdrawn: Annotated[tuple[Number, ...], Field(max_length=MAX_WITHDRAWN, strict=False)] = ()

    def wanted(self, line: str, device: bytes) -> int | None:
        """The release that this device should have; None while there is none for it."""
        return self.next if self.staged(line, device) else self.stable

    def staged(self, line: str, device: bytes) -> bool:
        """Whether this device is among those that get `next` first.

        By a hash of device and release: other devices go first each time, and a share once
        reached is kept when it grows.
        """
        if self.next is None or self.held:
            return False
        data = device + line.encode() + self.next.to_bytes(4, "big")
        bucket = int.from_bytes(hashlib.sha256(data).digest()[:8], "big") % _BUCKETS
        return bucket < self.percent * _BUCKETS // 100


class FormKind(Enum):
    """How a release may come to a device."""

    FULL = "full"
    DELTA = "delta"  # of the full file, from another one
    ADAPTER = "adapter"  # a LoRA over another full file


class Chunks(_Signed):
    """SHA-256 of each piece of a file, one after another; every piece but the last is of a size."""

    chunk_bytes: Annotated[int, Field(gt=0, le=MAX_CHUNK_BYTES)]
    digests: Digests

    @property
    def count(self) -> int:
        return len(self.digests) // _DIGEST_BYTES

    def digest(self, number: int) -> bytes:
        return self.digests[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES]


class Form(_Signed):
    """`custom` of every file of a release but the full one: `base` is the file it needs."""

    kind: FormKind = Field(strict=False)
    base_sha256: Sha256 | None = None
    chunks: Chunks


class Requirements(_Signed):
    """Where a release fits."""

    architecture: Annotated[str, Field(max_length=64)]  # general.architecture
    tokenizer: Annotated[str, Field(pattern="^[0-9a-f]{1,128}$")]  # fingerprint
    target_id: Annotated[str, Field(max_length=256)] | None = None
    runtime: Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6}){0,3}$")]  # llama-cpp-python


class Golden(_Signed):
    """What the draft chooses, greedily, after each token of a text: only choices that are clear."""

    tokens: Annotated[tuple[TokenId, ...], Field(min_length=1, max_length=256, strict=False)]
    choices: Annotated[
        tuple[TokenId | None, ...], Field(max_length=256, strict=False)
    ]  # None: not clear


class GateFigures(_Signed):
    """What the gate found, on answers neither draft had learnt from."""

    answers: Annotated[int, Field(ge=0)]
    acceptance: Share
    before: Share
    difference_low: Annotated[Figure, Field(ge=-1, le=1)]  # where 95 % of the draws begin
    tokens_per_s: Annotated[Figure, Field(ge=0)]
    domains: dict[str, Pair] = Field(default_factory=dict)  # new, before


class Release(_Signed):
    """`custom` of a full file, `LINE/NUMBER.gguf`."""

    number: Number
    replaces_sha256: Sha256 | None = None  # the file it was judged against
    mould: Sha256  # of the file's header: files of one mould have one length
    chunks: Chunks
    forms: Annotated[
        tuple[str, ...], Field(max_length=16, strict=False)
    ] = ()  # paths of smaller ones
    requirements: Requirements
    domains: Annotated[tuple[str, ...], Field(max_length=256, strict=False)] = ()
    gate: GateFigures
    golden: Annotated[tuple[Golden, ...], Field(max_length=16, strict=False)] = ()


def chunk_bytes_for(size_bytes: int) -> int:
    """A power of two that keeps the list of digests short."""
    chunk_bytes = _LEAST_CHUNK_BYTES
    while size_bytes > chunk_bytes * MAX_CHUNKS // 4 and chunk_bytes < MAX_CHUNK_BYTES:
        chunk_bytes *= 2
    return chunk_bytes


def is_line_name(name: str) -> bool:
    """Whether a line may be called that."""
    return re.fullmatch(_NAME, name) is not None


def line_path(line: str) -> str:
    """Where a line says what is current."""
    return f"{line}/line.json"


def full_path(line: str, number: int) -> str:
    """Where the full file of a release is."""
    return f"{line}/{number}.gguf"


def delta_path(line: str, number: int, base: int) -> str:
    """Where the difference from an older release is; `base` 0 is the file devices come with."""
    return f"{line}/{number}.from-{base}.delta"


def adapter_path(line: str, number: int) -> str:
    """Where the LoRA of a release is."""
    return f"{line}/{number}.adapter.gguf"
