"""Whether a draft and a target mean the same by a token id, and the voice they then share.

It knows what the cloud said of its target, not how it was asked.
"""

from collections.abc import Callable

from outrider_edge.errors import BadInput, ModelMismatch
from outrider_edge.llama.model import Model
from outrider_edge.template import ChatTemplate
from outrider_edge.voice import Voice
from outrider_protos.fingerprint import fingerprint
from outrider_protos.limits import PROTOCOL_VERSION
from outrider_protos.v1 import outrider_pb2 as pb


def check_fit(model: Model, description: pb.Description) -> None:
    """Raises ModelMismatch for another protocol, another vocabulary, or another way to split."""
    if description.protocol_version != PROTOCOL_VERSION:
        raise ModelMismatch(
            f"the cloud speaks version {description.protocol_version} of the protocol, "
            f"this device {PROTOCOL_VERSION}"
        )
    if description.tokenizer_fingerprint != fingerprint(model.header.tokenizer()):
        raise ModelMismatch(
            f"{model.header.name} and the target {description.target_id} "
            "have different vocabularies: a draft must share its target's tokenizer"
        )
    for probe in description.probes:
        ids = model.vocabulary.tokenize(probe.text, parse_special=True, add_special=False)
        if ids != list(probe.ids):
            raise ModelMismatch(
                f"{model.header.name} splits text into other tokens than the target "
                f"{description.target_id} does"
            )


def shared_voice(model: Model, description: pb.Description) -> Voice:
    """The draft's vocabulary, and all else as the target has it."""
    template = _template(
        lambda: ChatTemplate(
            description.chat_template,
            bos_text=description.bos_text,
            eos_text=description.eos_text,
        )
    )
    return Voice(model.vocabulary, template, frozenset(description.end_ids))


def local_voice(model: Model) -> Voice:
    """All as the draft's file has it."""
    vocabulary = model.vocabulary
    template = _template(
        lambda: ChatTemplate(
            model.chat_template or "",
            bos_text=_text(vocabulary.text, vocabulary.begin_id),
            eos_text=_text(vocabulary.text, vocabulary.end_id),
        )
    )
    return Voice(vocabulary, template, vocabulary.end_ids)


def _template(make: Callable[[], ChatTemplate]) -> ChatTemplate | None:
    """No template is no error until somebody wants to converse."""
    try:
        return make()
    except BadInput:
        return None


def _text(text: Callable[[int], str], token: int | None) -> str:
    return "" if token is None else text(token)
