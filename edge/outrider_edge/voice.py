"""How a conversation becomes token ids and ids become text: the shared vocabulary in use.

It joins a tokenizer and a chat template; it does not know models, logs or the cloud.
"""

import secrets
from collections.abc import Sequence
from typing import Protocol

from outrider_edge.errors import BadInput
from outrider_edge.template import ChatTemplate, Message


class Tokenizer(Protocol):
    """What a vocabulary must do. `control_texts` are what a template writes, and nobody else."""

    @property
    def end_ids(self) -> frozenset[int]: ...

    @property
    def control_texts(self) -> frozenset[str]: ...

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool) -> list[int]: ...

    def piece(self, token: int) -> bytes: ...


class Voice:
    """Speaks for one vocabulary. Without a template only raw prompts are possible."""

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate | None, end_ids: frozenset[int]
    ) -> None:
        self.end_ids = end_ids
        self.piece = tokenizer.piece
        self.template_id = None if template is None else template.digest
        self._tokenizer = tokenizer
        self._template = template

    def raw(self, text: str) -> tuple[int, ...]:
        """The ids of a text as it is, begin token included. Raises BadText, BadInput if empty."""
        return self._checked(self._tokenizer.tokenize(text, parse_special=False, add_special=True))

    def conversation(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The ids of a prompt by the template. Raises BadInput, BadText.

        A person's words never become control tokens: where a message holds the text of one, the
        messages are tokenized apart from what the template writes around them.
        """
        if self._template is None:
            raise BadInput("the model has no chat template: use a raw prompt")
        suspicious = [m for m in messages if self._holds_control(m.content)]
        if not suspicious:
            text = self._template.render(messages)
            return self._checked(
                self._tokenizer.tokenize(text, parse_special=True, add_special=False)
            )
        return self._apart(self._template, messages)

    def _holds_control(self, text: str) -> bool:
        return any(control in text for control in self._tokenizer.control_texts)

    def _apart(self, template: ChatTemplate, messages: Sequence[Message]) -> tuple[int, ...]:
        marks = [f"content{secrets.token_hex(16)}" for _ in messages]
        marked = [Message(m.role, mark) for m, mark in zip(messages, marks, strict=True)]
        rest, ids = template.render(marked), []
        for message, mark in zip(messages, marks, strict=True):
            before, _, rest = rest.partition(mark)
            ids += self._tokenizer.tokenize(before, parse_special=True, add_special=False)
            ids += self._tokenizer.tokenize(message.content, parse_special=False, add_special=False)
        ids += self._tokenizer.tokenize(rest, parse_special=True, add_special=False)
        return self._checked(ids)

    def _checked(self, ids: list[int]) -> tuple[int, ...]:
        if not ids:
            raise BadInput("the prompt is empty")
        return tuple(ids)
