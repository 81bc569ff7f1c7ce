"""The target's tokenizer, and the facts of it that a device compares with its own.

Token texts are those stored in `tokenizer.json`, which are those a GGUF file holds; decoding and
templates are the device's business.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from outrider_cloud.errors import TargetError
from outrider_protos.fingerprint import TokenizerFacts


def load_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """Of a folder or a hub id, without running code from there. Raises TargetError."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=Path(name).is_dir())
    except (OSError, ValueError, KeyError) as error:
        raise TargetError(f"the tokenizer of {name!r} cannot be loaded: {error}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise TargetError(f"the tokenizer of {name!r} has no tokenizer.json")
    return tokenizer


def tokenizer_facts(tokenizer: PreTrainedTokenizerFast) -> TokenizerFacts:
    """Raises TargetError for a kind that no GGUF file can have."""
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    model = description["model"]
    texts = {number: text for text, number in _vocabulary(model)}
    texts.update((token["id"], token["content"]) for token in description["added_tokens"])
    kind = _kind(model)
    return TokenizerFacts(
        kind=kind,
        tokens=tuple(texts.get(number) for number in range(max(texts) + 1)),
        # GGUF keeps scores instead of merges where pieces come from SentencePiece.
        merges=tuple(map(_merge, model["merges"])) if kind == "bpe" else (),
    )


def _kind(model: Mapping[str, Any]) -> str:
    """Byte-level BPE, or made from a SentencePiece model, where bytes are tokens of their own."""
    match model["type"]:
        case "BPE":
            return "spm" if model.get("byte_fallback") else "bpe"
        case "Unigram":
            return "spm"
        case other:
            raise TargetError(f"tokenizers of the type {other} are not supported")


def _vocabulary(model: Mapping[str, Any]) -> list[tuple[str, int]]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        return list(vocabulary.items())
    return [(text, number) for number, (text, _score) in enumerate(vocabulary)]


def _merge(merge: str | list[str]) -> str:
    """As GGUF writes it: a space that is part of a token becomes the letter that stands for it."""
    if isinstance(merge, str):
        return merge
    return " ".join(part.replace(" ", "\u0120") for part in merge)
