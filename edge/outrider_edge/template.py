"""Messages to prompt text, by the target's own chat template.

The template comes from the other side of the network, so it runs in an immutable sandbox. This
module knows neither tokens nor where the template came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from outrider_edge.errors import BadInput
from outrider_protos.fingerprint import template_digest

MAX_TEMPLATE_CHARACTERS = 1 << 16


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str  # "system", "user" or "assistant"
    content: str


class ChatTemplate:
    """A compiled template. Raises BadInput when it is missing, too long or does not compile."""

    def __init__(self, source: str, *, bos_text: str, eos_text: str) -> None:
        if not source:
            raise BadInput("the model has no chat template: use a raw prompt")
        if len(source) > MAX_TEMPLATE_CHARACTERS:
            raise BadInput("the chat template is too long")
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        self.digest = template_digest(source)
        self._specials = {"bos_token": bos_text, "eos_token": eos_text}
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise BadInput("the chat template does not compile") from error

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt up to where the assistant's turn begins. Raises BadInput."""
        turns = [{"role": m.role, "content": m.content} for m in messages]
        try:
            return self._template.render(
                messages=turns, add_generation_prompt=True, **self._specials
            )
        except TemplateError as error:
            raise BadInput(f"the chat template refuses these messages: {error}") from error


def _refuse(text: str) -> None:
    raise TemplateError(text)
