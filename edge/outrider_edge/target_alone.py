"""Exact answers held against the target alone, which runs in a process of its own.

It knows the command `outrider-cloud alone`, and that every difference counts.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from outrider_edge.answer import Result
from outrider_edge.cloud_process import cloud_command, cloud_environment, last_line
from outrider_edge.errors import LibraryError
from outrider_protos.words import FinishReason

_DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How exact answers are from the target alone."""

    answers: int
    mismatches: int  # every difference
    near_ties: int  # those of them below epsilon
    epsilon: float


def compare(target: str, results: Sequence[Result], max_tokens: int) -> Comparison:
    """Greedy answers of exact mode against the target alone. Raises LibraryError."""
    lines = [_request(result, max_tokens) for result in results]
    try:
        done = subprocess.run(
            cloud_command("alone", "--target", target, "--threads", "1"),
            input="\n".join(lines).encode(),
            capture_output=True,
            timeout=_DEADLINE_S,
            env=cloud_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LibraryError("the target alone took too long") from error
    replies = done.stdout.splitlines()
    if done.returncode != 0 or len(replies) != len(lines):
        raise LibraryError(f"the target alone failed: {last_line(done.stderr)}")
    said = [json.loads(reply) for reply in replies]
    differences = [difference for reply in said for difference in reply["differences"]]
    return Comparison(
        answers=len(results),
        mismatches=len(differences),
        near_ties=sum(difference["near_tie"] for difference in differences),
        epsilon=max((reply["epsilon"] for reply in said), default=0.0),
    )


def _request(result: Result, max_tokens: int) -> str:
    """An answer that a limit ended is compared up to there, any other to where it must end."""
    start, length = len(result.prompt), len(result.tokens)
    cut = result.reason in (FinishReason.LENGTH, FinishReason.CONTEXT)
    return json.dumps(
        {
            "log": result.prompt,
            "answer": result.tokens,
            "max_length": start + (length if cut else max_tokens),
        }
    )
