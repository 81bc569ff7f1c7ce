"""From a row of logits to what the loop wants to know of it, in as few passes as possible.

Rows are the draft's untempered logits. How a choice is made is `outrider_protos.choice`'s business.
"""

import numpy as np
from numpy.typing import NDArray

from outrider_edge.draft import Candidate, Detail, Expansion
from outrider_edge.errors import DraftError
from outrider_protos import choice
from outrider_protos.errors import BadLogits
from outrider_protos.words import Sampling


class Readout:
    """Holds the one buffer that a softmax over the vocabulary needs."""

    def __init__(self, vocabulary_size: int) -> None:
        self._weights = np.empty(vocabulary_size, dtype=np.float32)

    def expansion(
        self, row: NDArray[np.float32], sampling: Sampling, index: int, detail: Detail
    ) -> Expansion:
        """What would be written at log position `index`. Raises DraftError for broken logits."""
        try:
            if detail.width == 1:
                tokens = [choice.choose(row, sampling, index)]
            else:
                tokens = choice.ranked(row, sampling, index, detail.width)
        except BadLogits as error:
            raise DraftError("the draft's logits are broken") from error
        weights = np.subtract(row, row[row.argmax()], out=self._weights)  # argmax is the quickest
        np.exp(weights, out=weights)
        total = float(np.add.reduce(weights))
        return Expansion(
            candidates=tuple([Candidate(t, float(weights[t]) / total) for t in tokens]),
            max_probability=1.0 / total,
            entropy=choice.entropy(row) if detail.entropy else None,
            top=choice.top_row(row, detail.top_tokens) if detail.top_tokens else None,
        )
