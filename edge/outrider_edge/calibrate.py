"""`outrider calibrate`: Big-Little's two thresholds turned into one number a person can choose.

It answers the user's own prompts with every pair of a small grid and asks the target, outside the
measured part, what it would have written. What is worth having is `frontier`'s business.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Final

from outrider_edge.answer import Result
from outrider_edge.audit import Auditor
from outrider_edge.device import Device
from outrider_edge.frontier import Point
from outrider_edge.options import Mode, Options
from outrider_edge.policy import Fallback
from outrider_edge.questions import Question
from outrider_protos.words import Distance, Rollback

FALLBACKS: Final = (0.3, 0.5, 0.7, 0.9)
ROLLBACKS: Final = (0.0, 1.0, 2.0, 4.0, 8.0)  # nats
SHARES: Final = (0.0, 0.1, 0.25, 0.5, 0.75)  # for total variation

Say = Callable[[str], None]


def sweep(device: Device, options: Options, questions: Sequence[Question], say: Say) -> list[Point]:
    """One point for each pair of thresholds. Raises what a session raises."""
    options = replace(options, mode=Mode.BIG_LITTLE, seed=options.seed or 0)
    pairs = list(product(FALLBACKS, rollbacks(options.rollback)))
    points = []
    with Auditor(device, options.sampling()) as auditor:
        for number, (fallback, rollback) in enumerate(pairs, start=1):
            say(f"{number}/{len(pairs)}: fallback {fallback:g}, rollback {rollback:g}")
            chosen = replace(
                options,
                fallback=Fallback(threshold=fallback, signal=options.fallback.signal),
                rollback=replace(options.rollback, threshold=rollback),
            )
            points.append(_measure(device, chosen, questions, auditor))
    return points


def rollbacks(rollback: Rollback) -> tuple[float, ...]:
    """The thresholds tried for this distance."""
    return SHARES if rollback.distance is Distance.TOTAL_VARIATION else ROLLBACKS


def _measure(
    device: Device, options: Options, questions: Sequence[Question], auditor: Auditor
) -> Point:
    results = [_answer(device, options, question) for question in questions]
    tokens = sum(len(result.tokens) for result in results)
    differing = sum(_differing(result, auditor) for result in results)
    traffic = sum(r.traffic.bytes_sent + r.traffic.bytes_received for r in results)
    return Point(
        fallback=options.fallback.threshold,
        rollback=options.rollback.threshold,
        disagreement=differing / tokens,
        accuracy=_accuracy(questions, results),
        calls_per_token=sum(result.tally.commits for result in results) / tokens,
        bytes_per_token=traffic / tokens,
        tokens_per_s=tokens / sum(result.seconds for result in results),
    )


def _answer(device: Device, options: Options, question: Question) -> Result:
    session = device.session(options)
    try:
        return session.ask(question.prompt).result()
    finally:
        session.close()


def _differing(result: Result, auditor: Auditor) -> int:
    choices = auditor.target_choices(result)
    return sum(token != choice for token, choice in zip(result.tokens, choices, strict=True))


def _accuracy(questions: Sequence[Question], results: Sequence[Result]) -> float | None:
    """Exact string matches among the questions whose answer is known."""
    known = [
        result.text == question.answer
        for question, result in zip(questions, results, strict=True)
        if question.answer is not None
    ]
    return sum(known) / len(known) if known else None
