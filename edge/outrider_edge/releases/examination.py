"""What a draft must show before it may be tried on live answers, and what it did on those.

Pure: it is given findings. Golden choices are those the publisher saw the same file make; where
they differ here, this machine or this llama.cpp does not run it as it should.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from outrider_edge.releases.probe import Findings, Text
from outrider_edge.releases.recent import RecentAnswer
from outrider_protos.release import Golden

BATCH_TOKENS: Final = 9  # the last one is the root, eight are decoded together
SLOWEST: Final = 2.0  # times the step of the draft before it
_TIMES: Final = 4
_LOSS: Final = 0.1  # of acceptance on recent answers that is too much before any trial
_FEWEST: Final = 4  # answers that such a loss is believed from

# For a release that does not say what it chooses: it must choose something.
UNTOLD: Final = (Golden(tokens=tuple(range(16)), choices=()),)


@dataclass(frozen=True, slots=True)
class Compared:
    """Two drafts on one answer, or on several of one domain."""

    domain: str
    positions: int
    new: int  # positions at which the target's token was its choice
    old: int
    answers: int = 1

    def __add__(self, other: "Compared") -> "Compared":
        return Compared(
            self.domain,
            self.positions + other.positions,
            self.new + other.new,
            self.old + other.old,
            self.answers + other.answers,
        )


def text_of(answer: RecentAnswer) -> Text:
    """An answer, for drafts to be tried along."""
    return Text(answer.prompt, answer.tokens, answer.sampling)


def golden_texts(golden: Sequence[Golden]) -> list[Text]:
    """To be tried: the choice after each token of a text; several times, to know the pace."""
    return [Text((g.tokens[0],), (*g.tokens[1:], g.tokens[-1])) for g in golden] * _TIMES


def golden_batches(golden: Sequence[Golden]) -> list[tuple[int, ...]]:
    """Beginnings that are long enough for a batch."""
    return [g.tokens[:BATCH_TOKENS] for g in golden if len(g.tokens) >= BATCH_TOKENS]


def self_test_objection(golden: Sequence[Golden], found: Findings) -> str | None:
    """Why the draft must not be used at all; the first one of the findings is in question."""
    for expected, choices in zip([*golden] * _TIMES, found.drafts[0].choices, strict=True):
        if choices is None:
            return "it breaks down on a text it was published with"
        for wanted, chosen in zip(expected.choices, choices, strict=False):
            if wanted is not None and wanted != chosen:
                return "it does not choose here what it chose where it was published"
    long = [g for g in golden if len(g.tokens) >= BATCH_TOKENS]
    for expected, chosen in zip(long, found.batches, strict=True):
        told = expected.choices[BATCH_TOKENS - 1 : BATCH_TOKENS]
        if told and told[0] is not None and told[0] != chosen:
            return "it chooses otherwise when several tokens are decoded at once"
    return speed_objection(found)


def is_slow(found: Findings) -> bool | None:
    """Whether the first draft is too slow beside the second; None: too little to tell by."""
    new_s, old_s = found.drafts[0].step_s, found.drafts[1].step_s
    return new_s > SLOWEST * old_s if old_s else None


def speed_objection(found: Findings) -> str | None:
    """Of the first draft against the second."""
    new_s, old_s = found.drafts[0].step_s, found.drafts[1].step_s
    if is_slow(found):
        return f"it takes {1000 * new_s:.2f} ms a token here, the one in use {1000 * old_s:.2f} ms"
    return None


def compared(answers: Sequence[RecentAnswer], found: Findings) -> list[Compared]:
    """New draft first, the one in use second. Where a draft broke down, nothing was right."""
    new, old = found.drafts
    return [
        Compared(answer.domain, len(answer.tokens), _right(answer, chosen), _right(answer, before))
        for answer, chosen, before in zip(answers, new.choices, old.choices, strict=True)
    ]


def lived(answers: Sequence[RecentAnswer], found: Findings) -> list[Compared]:
    """The same of a draft that had its part in these answers: where it broke down, it has lost."""
    pairs = zip(answers, compared(answers, found), strict=True)
    return [replace(pair, new=0) if answer.failed else pair for answer, pair in pairs]


def replay_objection(pairs: Sequence[Compared]) -> str | None:
    """Why the draft should not even be tried on this device's own traffic."""
    if len(pairs) < _FEWEST:
        return None
    positions = sum(pair.positions for pair in pairs)
    loss = sum(pair.old - pair.new for pair in pairs) / positions
    if loss > _LOSS:
        return f"on {len(pairs)} recent answers of this device it loses {loss:.2f} of acceptance"
    return None


def _right(answer: RecentAnswer, choices: Sequence[int] | None) -> int:
    return sum(a == b for a, b in zip(answer.tokens, choices or (), strict=False))
