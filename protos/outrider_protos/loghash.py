"""The hash that identifies a token log: BLAKE2b-128 over its ids as little-endian uint32.

It knows neither sessions nor positions: a log is nothing but its ids in order.
"""

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Self

from outrider_protos.limits import DIGEST_BYTES

_PERSON = b"outrider-log-v1"


class LogHash:
    """The hash of a growing log. Ids must fit 32 bits (`struct.error` otherwise)."""

    __slots__ = ("_hash",)

    def __init__(self, tokens: Sequence[int] = ()) -> None:
        self._hash = blake2b(digest_size=DIGEST_BYTES, person=_PERSON)
        self.append(tokens)

    def append(self, tokens: Sequence[int]) -> None:
        self._hash.update(struct.pack(f"<{len(tokens)}I", *tokens))

    def digest(self) -> bytes:
        """The 16 bytes so far; the log may grow on."""
        return self._hash.digest()

    def copy(self) -> Self:
        """A log that goes its own way from here."""
        twin = type(self)()
        twin._hash = self._hash.copy()
        return twin
