"""A byte-level BPE tokenizer written into a GGUF header so that llama.cpp gives the same ids.

It does not know weights. Whatever llama.cpp would treat differently is refused by name.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from gguf import GGUFWriter, TokenType
from transformers import PreTrainedTokenizerFast

from outrider_training.errors import TokenizerUnsupportedError
from outrider_training.tokenizer import SPLIT

_GPT2: Final = {"type": "ByteLevel", "use_regex": True}
_PRE_TOKENIZERS: Final[Mapping[str, list[dict[str, object]]]] = {
    "gpt-2": [_GPT2],
    "smollm": [{"type": "Digits", "individual_digits": True}, _GPT2],
    "qwen2": [
        {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "use_regex": False},
    ],
}
"""The chains of pre-tokenizers that llama.cpp has too, by its name for them."""

_IRRELEVANT: Final = {"trim_offsets", "add_prefix_space"}


def write_tokenizer(writer: GGUFWriter, tokenizer: PreTrainedTokenizerFast, rows: int) -> None:
    """Add tokens, types, merges, special ids and chat template; `rows` pads the vocabulary."""
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    _refuse_what_differs(description)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer_name(description["pre_tokenizer"]))
    tokens, types = _vocabulary(description, rows)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([_merge_text(merge) for merge in description["model"]["merges"]])
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    if tokenizer.eos_token_id is not None:
        writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(_adds_bos(tokenizer))
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)


def pre_tokenizer_name(description: Mapping[str, Any] | None) -> str:
    """llama.cpp's name of a pre-tokenizer given as in `tokenizer.json`."""
    if description is None:
        raise TokenizerUnsupportedError("no pre-tokenizer")
    chain = description["pretokenizers"] if description["type"] == "Sequence" else [description]
    if any(part.get("add_prefix_space") for part in chain):
        raise TokenizerUnsupportedError("pre-tokenizer that adds a space in front")
    bare = [{key: part[key] for key in part if key not in _IRRELEVANT} for part in chain]
    for name, known in _PRE_TOKENIZERS.items():
        if bare == known:
            return name
    raise TokenizerUnsupportedError(f"unknown pre-tokenizer {json.dumps(bare)}")


def _refuse_what_differs(description: Mapping[str, Any]) -> None:
    model = description["model"]
    if model["type"] != "BPE":
        raise TokenizerUnsupportedError(f"model {model['type']}, only byte-level BPE is written")
    if description["normalizer"] is not None:
        raise TokenizerUnsupportedError("a normalizer, which llama.cpp does not apply")
    for option in ("dropout", "byte_fallback", "ignore_merges", "continuing_subword_prefix"):
        if model.get(option):
            raise TokenizerUnsupportedError(f"BPE option {option}")
    for token in description["added_tokens"]:
        if token["lstrip"] or token["rstrip"] or token["single_word"]:
            raise TokenizerUnsupportedError(f"added token {token['content']} that strips or splits")


def _vocabulary(description: Mapping[str, Any], rows: int) -> tuple[list[str], list[TokenType]]:
    by_id = {number: text for text, number in description["model"]["vocab"].items()}
    types = dict.fromkeys(by_id, TokenType.NORMAL)
    for token in description["added_tokens"]:
        by_id[token["id"]] = token["content"]
        types[token["id"]] = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    if max(by_id) >= rows:
        raise TokenizerUnsupportedError(f"{max(by_id) + 1} tokens for {rows} embedding rows")
    tokens = [by_id.get(number, f"[PAD{number}]") for number in range(rows)]
    return tokens, [types.get(number, TokenType.UNUSED) for number in range(rows)]


def _merge_text(merge: str | list[str]) -> str:
    return merge if isinstance(merge, str) else " ".join(merge)


def _adds_bos(tokenizer: PreTrainedTokenizerFast) -> bool:
    added = tokenizer("").input_ids
    if added not in ([], [tokenizer.bos_token_id]):
        raise TokenizerUnsupportedError("adds tokens other than one beginning of text")
    return bool(added)
