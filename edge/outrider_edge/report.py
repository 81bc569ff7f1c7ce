"""What is said about a finished answer: a line for people, an object for programs.

It knows results, not how they were shown.
"""

from collections import Counter

from outrider_edge.answer import Result
from outrider_edge.errors import EdgeError
from outrider_edge.events import Origin
from outrider_edge.exits import exit_code
from outrider_edge.options import Mode

Json = dict[str, object]


def answer_json(result: Result, mode: Mode) -> Json:
    """The answer and its figures; bytes are those of messages, seen from this machine."""
    tokens = len(result.tokens)
    return {
        "text": result.text,
        "unverified_text": result.unverified,
        "mode": mode.value,
        "finish_reason": result.reason.value if result.reason else None,
        "prompt_tokens": len(result.prompt),
        "tokens": tokens,
        "tokens_by_origin": by_origin(result),
        "target_passes": result.tally.commits,
        "bytes_sent": result.traffic.bytes_sent,
        "bytes_received": result.traffic.bytes_received,
        "seconds": result.seconds,
        "tokens_per_s": tokens / result.seconds if result.seconds else None,
    }


def error_json(error: EdgeError) -> Json:
    return {
        "kind": type(error).__name__,
        "message": str(error),
        "exit_code": int(exit_code(error)),
    }


def by_origin(result: Result) -> dict[str, int]:
    """Tokens of the answer by who wrote them; origins that wrote none are left out."""
    counted = Counter(origin.value for origin in result.origins)
    return {origin.value: counted[origin.value] for origin in Origin if counted[origin.value]}


def summary(result: Result) -> str:
    """One line: who wrote it, what it cost."""
    tokens = len(result.tokens)
    written = ", ".join(f"{count} {origin}" for origin, count in by_origin(result).items())
    parts = [f"{tokens} tokens ({written})" if written else "no tokens"]
    if passes := result.tally.commits:
        share = f" ({passes / tokens:.2f} a token)" if tokens else ""
        parts.append(f"{passes} target passes{share}")
    traffic = result.traffic
    if traffic.bytes_sent:
        parts.append(f"{_size(traffic.bytes_sent)} up, {_size(traffic.bytes_received)} down")
    else:
        parts.append("nothing left this machine")
    if result.seconds:
        parts.append(f"{tokens / result.seconds:.1f} tokens/s")
    return " · ".join(parts)


def _size(count: int) -> str:
    return f"{count} B" if count < 10_000 else f"{count / 1000:.1f} kB"
