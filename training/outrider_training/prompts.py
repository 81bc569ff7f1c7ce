"""Prompts by their digests: the same one must not be learnt from and judged by.

It knows neither records nor files.
"""

from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Final

import numpy as np

DIGEST_BYTES: Final = 16
_SHORTEST: Final = 16  # tokens of a beginning that says something: templates begin alike


def prompt_digest(prompt: Sequence[int]) -> bytes:
    """Of the token ids."""
    return blake2b(_bytes(prompt), digest_size=DIGEST_BYTES).digest()


def knows(learnt: Collection[bytes], prompt: Sequence[int]) -> bool:
    """Whether the prompt, or one that it goes on from, is among those learnt from.

    A later turn of a conversation goes on from the earlier ones, a long answer's second record
    from its first.
    """
    if not learnt:
        return False
    data, digest = _bytes(prompt), blake2b(digest_size=DIGEST_BYTES)
    digest.update(data[: 4 * _SHORTEST])
    for end in range(4 * _SHORTEST, len(data), 4):
        if digest.copy().digest() in learnt:
            return True
        digest.update(data[end : end + 4])
    return digest.digest() in learnt


def _bytes(prompt: Sequence[int]) -> bytes:
    return np.asarray(prompt, np.int32).tobytes()
