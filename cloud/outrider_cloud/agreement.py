"""The one rule by which proposed tokens stand (design: agreement; Big-Little's rollback).

Pure: a work, its verdict, and what follows. It knows no logs and no ends of text.
"""

from dataclasses import dataclass

from outrider_cloud.engine import Verdict, Work


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a verdict makes of a work."""

    path: tuple[int, ...]  # the nodes that stand, 1-based, from the root down
    tokens: tuple[int, ...]  # theirs, then one that the target chose itself
    logprobs: tuple[float, ...] | None  # of `tokens`, if the work asked


def judge(work: Work, verdict: Verdict) -> Judgement:
    """Walk from row 0: a child that is the target's choice stands, and so on below it.

    With a rollback threshold above 0, where no child is the choice, the child at the smallest
    distance stands if that is within the threshold (Kim et al., Big Little Decoder, section 3.3;
    their draft is a chain, whose one child this is). The walk ends with the target's own choice.
    """
    path: list[int] = []
    below = _children(work)
    row = 0
    while (node := _standing(work, verdict, below[row], row)) is not None:
        path.append(node)
        row = node
    tokens = (*(work.nodes[node - 1] for node in path), verdict.choices[row])
    return Judgement(tuple(path), tokens, _logprobs(verdict, path, row))


def _children(work: Work) -> list[list[int]]:
    below: list[list[int]] = [[] for _ in range(len(work.nodes) + 1)]
    for node, parent in enumerate(work.parents, 1):
        below[parent].append(node)
    return below


def _standing(work: Work, verdict: Verdict, children: list[int], row: int) -> int | None:
    for node in children:
        if work.nodes[node - 1] == verdict.choices[row]:
            return node
    if work.rollback is None or verdict.distances is None:
        return None
    threshold, distances = work.rollback.threshold, verdict.distances
    if threshold == 0:  # exact mode, even where a distance rounds to 0
        return None
    near = [node for node in children if distances[node - 1] <= threshold]
    return min(near, key=lambda node: distances[node - 1], default=None)


def _logprobs(verdict: Verdict, path: list[int], row: int) -> tuple[float, ...] | None:
    if verdict.node_logprobs is None or verdict.choice_logprobs is None:
        return None
    return (*(verdict.node_logprobs[node - 1] for node in path), verdict.choice_logprobs[row])
