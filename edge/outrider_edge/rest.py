"""A losing draft switches itself off: epochs that brought nothing are followed by longer rests.

Only for a cloud that decodes by itself meanwhile (finite patience): there proposals that come too
late, or are wrong, cost both sides time and save none. What a draft is worth does not change with
the answer, so a rest goes on through the next ones. It counts; it knows no tokens.
"""

from outrider_edge.tempo import Tempo

_TRIALS = 4  # barren epochs in a row before the first rest
_LONGEST_COMMITS = 256
_MOST_BARREN = 11  # more would not make the rest longer


class Rest:
    """How long to let the cloud write alone before the draft tries again."""

    def __init__(self, tempo: Tempo) -> None:
        self._tempo = tempo  # remembers over generations
        self._tried = 0
        self._seen = 0

    @property
    def resting(self) -> bool:
        return self._tempo.rest_commits > 0

    def ended(self, proposals: int, by_draft: int) -> None:
        """An epoch is over. Counted from the beginning: proposals, and tokens they brought."""
        if proposals == self._tried:
            return
        self._tried = proposals
        barren = 0 if by_draft > self._seen else self._tempo.barren + 1
        self._tempo.barren = min(barren, _MOST_BARREN)
        self._seen = by_draft
        if barren >= _TRIALS:
            self._tempo.rest_commits = min(2 ** (barren - _TRIALS + 1), _LONGEST_COMMITS)

    def committed(self) -> None:
        """The log grew once more."""
        self._tempo.rest_commits = max(0, self._tempo.rest_commits - 1)
