"""What a draft chooses along a few texts, for a device to see that it runs the file rightly.

The texts are ours, in the languages and forms drafts write. Where two tokens are nearly as likely
another machine's rounding may turn them round: no choice is recorded there.
"""

from pathlib import Path
from typing import Final

from outrider_edge.draft import Detail, Draft, Leaf
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.llama.model import Model
from outrider_protos.release import Golden
from outrider_protos.words import Sampling

_TEXTS: Final = (
    "The ferry leaves the harbour at half past seven, and the last one comes back at nine.",
    "def area(width, height):\n    return width * height\n",
    "SELECT name, price FROM books WHERE price < 20 ORDER BY price;",
    "Mỗi sáng bà tôi pha một ấm trà rồi mở cửa sổ nhìn ra vườn.",
    "駅の前に小さな本屋があります。店は朝九時に開きます。",
    "Der Zug hält in jedem Dorf, und trotzdem kommt er pünktlich an.",
)
_MOST_TOKENS: Final = 48  # of one text
_CONTEXT: Final = ContextSettings(
    tokens=64
)  # as where it is tried: some kinds of model choose by it
_CLEAR: Final = 0.1  # by which the best is more likely than the second


def golden_choices(file: Path) -> tuple[Golden, ...]:
    """Run as a device runs it. Raises EdgeError for a draft that cannot run."""
    with Model(file) as model, LlamaDraft(model, _CONTEXT) as draft:
        most = min(_MOST_TOKENS, draft.context_tokens)
        written = (
            model.vocabulary.tokenize(text, parse_special=False, add_special=True)[:most]
            for text in _TEXTS
        )
        return tuple(_along(draft, tokens) for tokens in written if tokens)


def _along(draft: Draft, tokens: list[int]) -> Golden:
    draft.begin(tokens[:1], Sampling())
    choices = [
        _clear_choice(draft, Leaf(node, max(0, node - 1), token))
        for node, token in enumerate(tokens)
    ]
    return Golden(tokens=tuple(tokens), choices=tuple(choices))


def _clear_choice(draft: Draft, leaf: Leaf) -> int | None:
    (expansion,) = draft.expand([leaf], Detail(width=2))
    best, second = expansion.candidates
    return best.token if best.probability - second.probability > _CLEAR else None
