"""Whether a new draft may take the place of the current one, by answers neither has learnt from.

Pure: it is given what both drafts did on the same answers. Answers are drawn again and again with
replacement (a paired bootstrap); the interval of a difference is where 95 % of the draws fall.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Drawn = NDArray[np.float64]
_DRAWS: Final = 4000
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """One answer replayed by both drafts."""

    domain: str
    new: tuple[bool, ...]
    old: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked of the new draft, and what a round is taken to cost."""

    margin: float = 0.02  # acceptance that a domain may lose
    fewest: int = 20  # answers, in all
    span: int = 8  # tokens proposed in a round
    verify_ms: float = 40.0  # the target's answer, the way there and back included


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One draft on the answers of one domain, or of all."""

    acceptance: float
    tokens_per_round: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What the new draft has more, and where 95 % of the draws fall."""

    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both drafts on the same answers; `difference`, `low` and `high` are of acceptance."""

    answers: int
    positions: int
    new: Figures
    old: Figures
    difference: float
    low: float
    high: float
    tokens_per_round: Gain
    tokens_per_s: Gain


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why it passed or not: no reasons, no objections."""

    overall: Comparison
    domains: dict[str, Comparison]
    objections: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.objections


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of one draft step."""

    new_s: float
    old_s: float


def judge(pairs: Sequence[Pair], steps: StepTimes, terms: Terms) -> Verdict:
    """Without answers it cannot pass."""
    by_domain: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_domain[pair.domain].append(pair)
    overall = compare(pairs, steps, terms)
    domains = {name: compare(some, steps, terms) for name, some in sorted(by_domain.items())}
    return Verdict(
        overall=overall, domains=domains, objections=tuple(_objections(overall, domains, terms))
    )


def compare(pairs: Sequence[Pair], steps: StepTimes, terms: Terms) -> Comparison:
    """Both drafts on some answers."""
    if not pairs:
        return _NOTHING
    new = _figures([pair.new for pair in pairs], steps.new_s, terms)
    old = _figures([pair.old for pair in pairs], steps.old_s, terms)
    drawn = np.random.default_rng(_SEED).integers(0, len(pairs), (_DRAWS, len(pairs)))

    def total(values: list[int]) -> Drawn:
        found: Drawn = np.array(values, np.float64)[drawn].sum(axis=1)
        return found

    positions = total([len(pair.new) for pair in pairs])
    gained = total([sum(pair.new) - sum(pair.old) for pair in pairs]) / positions
    fresh = positions / total([rounds(pair.new, terms.span) for pair in pairs])
    known = positions / total([rounds(pair.old, terms.span) for pair in pairs])
    speeds = fresh / _round_s(steps.new_s, terms) - known / _round_s(steps.old_s, terms)
    acceptance = _gain(new.acceptance - old.acceptance, gained)
    return Comparison(
        answers=len(pairs),
        positions=sum(len(pair.new) for pair in pairs),
        new=new,
        old=old,
        difference=acceptance.difference,
        low=acceptance.low,
        high=acceptance.high,
        tokens_per_round=_gain(new.tokens_per_round - old.tokens_per_round, fresh - known),
        tokens_per_s=_gain(new.tokens_per_s - old.tokens_per_s, speeds),
    )


def _gain(difference: float, drawn: Drawn) -> Gain:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Gain(difference=difference, low=float(low), high=float(high))


def _round_s(step_s: float, terms: Terms) -> float:
    return terms.span * step_s + terms.verify_ms / 1000


_NOBODY: Final = Figures(acceptance=0.0, tokens_per_round=0.0, tokens_per_s=0.0)
_NO_GAIN: Final = Gain(difference=0.0, low=0.0, high=0.0)
_NOTHING: Final = Comparison(
    answers=0,
    positions=0,
    new=_NOBODY,
    old=_NOBODY,
    difference=0.0,
    low=0.0,
    high=0.0,
    tokens_per_round=_NO_GAIN,
    tokens_per_s=_NO_GAIN,
)


def rounds(agreed: Sequence[bool], span: int) -> int:
    """Rounds that this many proposals each take to write an answer, one token of the target's own
    after what it accepts.
    """
    count, at = 0, 0
    while at < len(agreed):
        accepted = next((n for n, right in enumerate(agreed[at : at + span]) if not right), span)
        at += accepted + 1
        count += 1
    return count


def _figures(answers: Sequence[Sequence[bool]], step_s: float, terms: Terms) -> Figures:
    positions = sum(map(len, answers))
    count = sum(rounds(agreed, terms.span) for agreed in answers)
    round_s = _round_s(step_s, terms)
    return Figures(
        acceptance=sum(map(sum, answers)) / positions,
        tokens_per_round=positions / count,
        tokens_per_s=positions / (count * round_s),
    )


def _objections(overall: Comparison, domains: dict[str, Comparison], terms: Terms) -> list[str]:
    found = []
    if overall.answers < terms.fewest:
        found.append(f"{overall.answers} answers are too few, {terms.fewest} are needed")
    if overall.low <= 0:
        found.append(
            f"it may be no better: acceptance {overall.difference:+.3f}, "
            f"at worst {overall.low:+.3f}"
        )
    return found + falls(domains, terms)


def falls(domains: Mapping[str, Comparison], terms: Terms) -> list[str]:
    """A line for every domain that loses more than it may."""
    return [
        f"{name or 'answers without a domain'} loses {-comparison.difference:.3f} of "
        f"acceptance, {terms.margin:g} is allowed"
        for name, comparison in domains.items()
        if comparison.difference < -terms.margin
    ]
