"""Big-Little: how far a proposed token is from what the target would write, on plain numbers.

Kim et al., Speculative Decoding with Big Little Decoder (2023), section 3; words in
`words.Distance`. Probabilities are those of the untempered, untruncated softmax. Where the numbers
come from is not known here.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def surprise(log_probability: float) -> float:
    """-log p(token) in nats, p the target's; at least 0."""
    return max(0.0, -log_probability)


def kullback_leibler(draft: ArrayLike, target: ArrayLike) -> float:
    """KL(draft || target) in nats over the listed tokens and one bucket for all others.

    `draft` and `target` are the probabilities of the same tokens, 1-d. Infinite where the target
    excludes what the draft allows.
    """
    q, p = _buckets(draft), _buckets(target)
    allowed = q > 0
    if np.any(p[allowed] == 0):
        return float("inf")
    return max(0.0, float(np.sum(q[allowed] * np.log(q[allowed] / p[allowed]))))


def total_variation(draft: ArrayLike, target: ArrayLike) -> float:
    """Half the sum of |draft - target| over the same buckets: a share in [0, 1]."""
    return min(1.0, 0.5 * float(np.abs(_buckets(draft) - _buckets(target)).sum()))


def _buckets(probabilities: ArrayLike) -> NDArray[np.float64]:
    """The probabilities and the tail; a sum that rounding lifted above 1 leaves a tail of 0."""
    listed = np.asarray(probabilities, dtype=np.float64)
    return np.append(listed, max(0.0, 1.0 - float(listed.sum())))
