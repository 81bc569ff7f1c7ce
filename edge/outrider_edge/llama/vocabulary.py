"""Text to token ids and back, as the model's own tokenizer does it."""

import ctypes
from functools import cached_property
from typing import Any

import llama_cpp

from outrider_edge.errors import BadText

_MAX_TEXT_BYTES = 1 << 26
_PIECE_BYTES = 256


class Vocabulary:
    """Belongs to a model and lives as long as that is open."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.size = int(llama_cpp.llama_vocab_n_tokens(pointer))
        self._pieces: dict[int, bytes] = {}

    @property
    def begin_id(self) -> int | None:
        return _token(llama_cpp.llama_vocab_bos(self._pointer))

    @property
    def end_id(self) -> int | None:
        return _token(llama_cpp.llama_vocab_eos(self._pointer))

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Every token that ends a generation: end of text, of a turn, of a message."""
        is_end = llama_cpp.llama_vocab_is_eog
        return frozenset(token for token in range(self.size) if is_end(self._pointer, token))

    @cached_property
    def control_texts(self) -> frozenset[str]:
        """What a chat template writes for control tokens, and a person's words must not become."""
        is_control = llama_cpp.llama_vocab_is_control
        controls = (token for token in range(self.size) if is_control(self._pointer, token))
        return frozenset(self.text(token) for token in controls)

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool) -> list[int]:
        """Token ids of `text`.

        `parse_special`: texts of control tokens become these tokens (for a chat template's output,
        never for a person's words). `add_special`: begin and end tokens are added if the model
        wants them.
        Raises BadText for lone surrogates, which UTF-8 cannot hold, and for texts past 64 MiB.
        """
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise BadText("the text holds half a surrogate pair, which is not UTF-8") from error
        if len(data) > _MAX_TEXT_BYTES:
            raise BadText(f"the text is longer than {_MAX_TEXT_BYTES} bytes")
        room = len(data) + 2
        ids = (ctypes.c_int32 * room)()
        count = llama_cpp.llama_tokenize(
            self._pointer, data, len(data), ids, room, add_special, parse_special
        )
        if count < 0:  # a byte may become several tokens
            ids = (ctypes.c_int32 * -count)()
            count = llama_cpp.llama_tokenize(
                self._pointer, data, len(data), ids, -count, add_special, parse_special
            )
        return ids[:count]

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for, perhaps a part of a character; none for control tokens."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self._render(token)
        return found

    def text(self, token: int) -> str:
        """The token as the vocabulary stores it: for control tokens, what a template writes."""
        if not 0 <= token < self.size:
            return ""
        stored: bytes = llama_cpp.llama_vocab_get_text(self._pointer, token)
        return stored.decode("utf-8", errors="replace")

    def _render(self, token: int) -> bytes:
        if not 0 <= token < self.size:  # a padding id of a larger vocabulary has no text
            return b""
        room = _PIECE_BYTES
        while True:
            buffer = ctypes.create_string_buffer(room)
            length = llama_cpp.llama_token_to_piece(self._pointer, token, buffer, room, 0, False)
            if length >= 0:
                return buffer.raw[:length]
            room = -length


def _token(number: int) -> int | None:
    return None if number < 0 else int(number)
