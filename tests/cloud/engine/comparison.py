"""What the target says of a path, recomputed from nothing, against what an engine said."""

from collections.abc import Sequence

from outrider_cloud.engine import Verdict, Work
from outrider_cloud.reference import Reference
from outrider_protos import choice

TOLERANCE = 2e-4  # of a log-probability, float32


def path_to(parents: Sequence[int], node: int) -> list[int]:
    """Node numbers from the root to `node`, the root left out."""
    path: list[int] = []
    while node:
        path.insert(0, node)
        node = parents[node - 1]
    return path


def tokens_to(work: Work, node: int) -> list[int]:
    return [work.nodes[each - 1] for each in path_to(work.parents, node)]


def largest_error(
    reference: Reference, log: Sequence[int], work: Work, verdict: Verdict | None
) -> float:
    """In log-probabilities, over all rows; `log` ends with the prefix of `work`.

    Checks besides that every greedy choice is the recomputed one, or ties with it.
    """
    assert verdict is not None
    assert verdict.choice_logprobs is not None
    assert verdict.node_logprobs is not None
    assert len(verdict.choices) == 1 + len(work.nodes)
    rows = [reference.rows([*log, *tokens_to(work, n)])[-1] for n in range(len(work.nodes) + 1)]
    errors = [0.0]
    for row, token, said in zip(rows, verdict.choices, verdict.choice_logprobs, strict=True):
        best = choice.log_probability(row, int(row.argmax()))
        errors += [
            abs(choice.log_probability(row, token) - said),
            best - choice.log_probability(row, token),
        ]
    for parent, token, said in zip(work.parents, work.nodes, verdict.node_logprobs, strict=True):
        errors.append(abs(choice.log_probability(rows[parent], token) - said))
    return max(errors)
