"""The fingerprint of a tokenizer: equal exactly if both sides mean the same text by the same ids.

It hashes what decides over tokens: kind, the text of every id, the merges in their order. Which ids
begin and end a text is left out: that is a habit of one model, not of the vocabulary.
Pre-tokenizers and normalisers cannot be compared across formats; `probe_texts` are strings whose
ids both sides compare instead. Where the facts are read from is not known here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from outrider_protos.limits import DIGEST_BYTES

_PERSON = b"outrider-tok-v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFacts:
    """What a GGUF file or a tokenizer folder says. None is an id without a text."""

    kind: str  # "bpe" or "spm"
    tokens: tuple[str | None, ...]  # by id, as stored: pieces, not decoded text
    merges: tuple[str, ...] = ()  # "a b", in order; none for spm


def real_tokens(tokens: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """The texts without padding: ids that exist only to round the vocabulary up.

    Models have more rows than texts. GGUF converters name such an id `[PAD<id>]`, tokenizers have
    nothing there; both become None, and trailing ones are cut.
    """
    texts = [None if text == f"[PAD{token}]" else text for token, text in enumerate(tokens)]
    while texts and texts[-1] is None:
        texts.pop()
    return tuple(texts)


def fingerprint(facts: TokenizerFacts) -> bytes:
    """16 bytes (BLAKE2b-128)."""
    hasher = blake2b(digest_size=DIGEST_BYTES, person=_PERSON)
    hasher.update(b"".join(_canonical(facts)))
    return hasher.digest()


def template_digest(source: str) -> str:
    """Which chat template made a prompt: 32 hexadecimal digits."""
    return blake2b(source.encode(), digest_size=DIGEST_BYTES, person=b"outrider-tpl-v1").hexdigest()


def probe_texts() -> tuple[str, ...]:
    """Strings that tokenizers of different make split differently."""
    return (
        "The quick brown fox doesn't jump; it'll WAIT (really).",
        "3.14159 + 2718281 = 1,234,567 - 0x1F, 50%",
        "def add(a, b):\n    return a + b  # sum\n",
        " leading, trailing  and   runs    of spaces ",
        "\n\n\n\ttabs\t\tand\r\nnewlines \n ",
        "SELECT name, COUNT(*) FROM users WHERE age >= 21 GROUP BY name;",
        "Một cửa hàng có mười hai quả táo và bán đi năm quả.",
        "太郎はりんごを12個持っています。カタカナとＡＢＣ、改行。",
        "naïve café: e\u0301 against \u00e9, Å against A\u030a, ﬁ ligature",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 and ☕",
        "zero\u200bwidth, no\u00a0break, \u202eright to left\u202c, bell\x07 and del\x7f",
        "Ελληνικά, русский, עברית, العربية, हिन्दी, 한국어",
    )


def _canonical(facts: TokenizerFacts) -> Iterator[bytes]:
    """Every part with its length or count before it, so that no two facts give the same bytes."""
    tokens = real_tokens(facts.tokens)
    yield _sized(facts.kind)
    yield _number(len(tokens))
    for text in tokens:
        yield b"\0" if text is None else b"\1" + _sized(text)
    yield _number(len(facts.merges))
    for merge in facts.merges:
        yield _sized(merge)


def _sized(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")
