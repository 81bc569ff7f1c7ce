"""How a token is chosen from a row of logits under shared noise (design: agreement).

`docs/noise.md` is the specification. Greedy is the argmax; else the choice is the token with the
best noisy score among those the filters leave, in float64: (logit - row maximum) / temperature +
Gumbel noise of (seed, log index, token). Equal values go to the lower id, everywhere.

Rows are float32, 1-d and never written to; -inf marks a token that is impossible. NaN, +inf and
rows without a possible token raise `BadLogits`. This module does not know whose row it is.
"""

import math

import numpy as np
from numpy.typing import NDArray

from outrider_protos import noise
from outrider_protos.errors import BadLogits
from outrider_protos.words import Sampling, TopRow

Row = NDArray[np.float32]
Ids = NDArray[np.intp]
Scores = NDArray[np.float64]

_FIRST_LOOK = 64  # tokens that usually hold the winner, and a nucleus


def choose(logits: Row, sampling: Sampling, index: int) -> int:
    """The token for log position `index`."""
    best = _best_token(logits)
    if sampling.temperature == 0.0:
        return best
    return ranked(logits, sampling, index, 1)[0]


def ranked(logits: Row, sampling: Sampling, index: int, width: int) -> list[int]:
    """Up to `width` tokens in falling order of noisy score: sampling without replacement.

    The first is `choose`'s; fewer come back where filters or impossible tokens leave fewer. At
    temperature 0 the order is that of the logits, and the filters, which the best one always
    passes, do not count.
    """
    maximum = _maximum(logits)
    if sampling.temperature == 0.0:
        return _listed(_head(logits, width))
    if sampling.top_k is None and sampling.top_p is None:
        ids = _contenders(logits, maximum, sampling, index, width)
    else:
        ids = _filtered(logits, maximum, sampling)
    scores = _scaled(logits[ids], maximum, sampling)
    scores += noise.gumbel(sampling.seed, index, ids)
    return _listed(ids[np.lexsort((ids, -scores))[:width]])


def gap(logits: Row, sampling: Sampling, index: int) -> float:
    """How little must change for another choice: below an engine's epsilon, this is a near-tie.

    The smallest of these, infinite if nothing but one token is possible:

    - winner against a token the filters leave: the difference of their scores;
    - winner leaving by top-k or top-p: its lead over the first token outside, both as
      logit / temperature; or, by top-p, what lacks of `top_p` in mass before it;
    - a token outside that would win: the larger of its distance in score and its distance to
      coming in, which is measured likewise.

    Scores are differences of logit / temperature (of logits at temperature 0), masses are
    probabilities; a score error of e moves a mass by less than e / 2. It sorts the whole row: for
    references and reports, not for decoding.
    """
    maximum = _maximum(logits)
    ids = _head(logits, len(logits))
    if sampling.temperature == 0.0:
        return float(logits[ids[0]] - logits[ids[1]]) if len(ids) > 1 else math.inf
    scaled = _scaled(logits[ids], maximum, sampling)
    scores = scaled + noise.gumbel(sampling.seed, index, ids)
    margins = _margins(scaled, sampling)
    inside = int(np.count_nonzero(margins > 0))
    winner = int(np.lexsort((ids[:inside], -scores[:inside]))[0])
    smallest = _leaving(scaled, margins, inside, winner)
    lags = scores[winner] - scores
    smallest = min(smallest, float(np.delete(lags[:inside], winner).min(initial=math.inf)))
    for rank in (inside + np.flatnonzero(lags[inside:] < smallest)).tolist():
        entering = _entering(scaled, margins, inside, rank)
        smallest = min(smallest, max(entering, float(lags[rank])))
    return float(smallest)


def confidence(logits: Row) -> float:
    """The probability of the most likely token; untempered, as all below."""
    return math.exp(float(_maximum(logits)) - _log_sum_exp(logits))


def entropy(logits: Row) -> float:
    """In nats."""
    shifted = _possible(logits) - _maximum(logits)
    weights = np.exp(shifted)
    total = float(weights.sum())
    return math.log(total) - float(weights @ shifted) / total


def log_probability(logits: Row, token: int) -> float:
    """In nats; -inf for an impossible token."""
    return float(logits[token]) - _log_sum_exp(logits)


def top_row(logits: Row, count: int) -> TopRow:
    """The `count` most likely tokens with their probabilities, the likeliest first."""
    ids = _head(logits, count)
    probabilities = np.exp(logits[ids].astype(np.float64) - _log_sum_exp(logits))
    return TopRow(tuple(_listed(ids)), tuple(probabilities.tolist()))


def _listed(ids: Ids) -> list[int]:
    return [int(token) for token in ids]


def _best_token(logits: Row) -> int:
    best = int(logits.argmax())  # of the first NaN, if there is one
    if not math.isfinite(logits[best]):
        raise BadLogits("a row of logits holds NaN or +inf, or allows no token")
    return best


def _maximum(logits: Row) -> np.float64:
    return np.float64(logits[_best_token(logits)])


def _possible(logits: Row) -> Scores:
    return logits[logits > -np.inf].astype(np.float64)


def _log_sum_exp(logits: Row) -> float:
    maximum = _maximum(logits)
    values = logits.astype(np.float64)
    values -= maximum
    np.exp(values, out=values)
    return float(maximum) + math.log(float(values.sum()))


def _scaled(logits: Row, maximum: np.float64, sampling: Sampling) -> Scores:
    return (logits.astype(np.float64) - maximum) / sampling.temperature


def _head(logits: Row, count: int) -> Ids:
    """The most likely `count` possible tokens, the likeliest first, equal ones by rising id."""
    if count == 1:
        return np.array([logits.argmax()])
    if count < len(logits):
        border = np.partition(logits, len(logits) - count)[len(logits) - count]
        above = np.flatnonzero(logits > border)
        ids = np.append(above, np.flatnonzero(logits == border)[: count - len(above)])
    else:
        ids = np.arange(len(logits))
    ids = ids[logits[ids] > -np.inf]
    return ids[np.lexsort((ids, -logits[ids]))]


def _contenders(
    logits: Row, maximum: np.float64, sampling: Sampling, index: int, width: int
) -> Ids:
    """A few tokens, among them the best `width` of all, without filters.

    The scores of the likeliest ones set a bar. A token below the bar by more than the largest
    noise there is needs no noise, and what is less likely than the last of these needs a hash so
    large that hardly any has it: the scores decide, this only saves logarithms.
    """
    head = _head(logits, min(len(logits), max(width, _FIRST_LOOK)))
    scaled = _scaled(logits[head], maximum, sampling)
    scores = scaled + noise.gumbel(sampling.seed, index, head)
    bar = np.sort(scores)[-min(width, len(head))]
    reach = maximum + (bar - noise.MAX_GUMBEL) * sampling.temperature
    lowest = np.finfo(np.float32).min  # leaves out the impossible
    border = np.nextafter(np.float32(max(reach, lowest)), np.float32(-np.inf))
    near = np.flatnonzero(logits >= max(border, lowest))
    hashes = noise.hashes(noise.keys(sampling.seed, index), near)
    return np.union1d(head, near[hashes >= noise.least_hash(bar - scaled[-1])])


def _filtered(logits: Row, maximum: np.float64, sampling: Sampling) -> Ids:
    """What top-k, then top-p leave, the likeliest first."""
    count = len(logits) if sampling.top_k is None else min(sampling.top_k, len(logits))
    if sampling.top_p is None:
        return _head(logits, count)
    if sampling.top_k is not None:
        ids = _head(logits, count)
        weights = np.exp(_scaled(logits[ids], maximum, sampling))
        return ids[: _nucleus(weights, sampling.top_p * float(weights.sum()))]
    needed = sampling.top_p * float(np.exp(_scaled(logits, maximum, sampling)).sum())
    look = _FIRST_LOOK
    while True:
        ids = _head(logits, min(look, count))
        weights = np.exp(_scaled(logits[ids], maximum, sampling))
        if look >= count or weights.sum() >= needed:
            return ids[: _nucleus(weights, needed)]
        look *= 16


def _nucleus(weights: Scores, needed: float) -> int:
    """How many of the falling `weights` it takes to reach `needed`; the crossing one stays."""
    return 1 + int(np.count_nonzero(np.cumsum(weights) < needed))


def _margins(scaled: Scores, sampling: Sampling) -> Scores:
    """Per rank, the mass that may still come before it: positive for what the filters leave.

    Infinite where only top-k counts, -inf beyond it.
    """
    margins = np.full(len(scaled), np.inf)
    count = len(scaled) if sampling.top_k is None else min(sampling.top_k, len(scaled))
    margins[count:] = -np.inf
    if sampling.top_p is not None:
        weights = np.exp(scaled[:count])
        before = np.append(0.0, np.cumsum(weights[:-1])) / weights.sum()
        margins[:count] = sampling.top_p - before
        margins[0] = np.inf  # one token always stays
    return margins


def _leaving(scaled: Scores, margins: Scores, inside: int, winner: int) -> float:
    """How little puts the winner outside: another rank among the last ones, or none."""
    falls = np.maximum(scaled[winner] - scaled[winner:inside], margins[winner:inside]).min()
    if inside == len(scaled):
        return float(falls)
    return float(min(falls, scaled[winner] - scaled[inside]))


def _entering(scaled: Scores, margins: Scores, inside: int, rank: int) -> float:
    """How little puts this rank inside: past the last one there, or by more room for mass."""
    outside = slice(inside, rank + 1)
    climbs = np.maximum(scaled[outside] - scaled[rank], -margins[outside])
    return float(min(scaled[inside - 1] - scaled[rank], climbs.min()))
