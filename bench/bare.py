"""One side without our code, as a process of its own: it answers, or it is timed.

    python -m bench.bare answer --target FOLDER --texts TEXTS.json --limit 128
    python -m bench.bare target --target FOLDER --replays REPLAYS.json --seconds 5
    python -m bench.bare engine --target FOLDER --replays REPLAYS.json --seconds 5
    python -m bench.bare draft --draft FILE.gguf --replays REPLAYS.json --seconds 5

`engine` alone is ours: the same target in our engine, to compare. What is timed says "ready" when
its model is loaded and waits for a line on standard input, so that both sides can be timed at once
or one by one. Results are one line of JSON. `bare_pair` drives it.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from statistics import median

from transformers import AutoTokenizer

from bench.bare_draft import BareDraft
from bench.bare_target import BareTarget
from bench.engine_target import EngineTarget
from bench.replay import Replay, read_replays

ROWS = (1, 2, 3, 5, 9, 17)  # fed at once: the log's last token and 0 to 16 nodes


TimeReplay = Callable[[Replay, int], tuple[float, list[float]]]
"""Seconds of the prompt and of every group of so many answer tokens."""


def time_steps(
    time_replay: TimeReplay, replays: Sequence[Replay], seconds: float
) -> dict[str, object]:
    """Median seconds of a step by rows and of each prompt, round after round for `seconds`.

    Rows that no answer is long enough for are left out.
    """
    longest = max(len(replay.answer) for replay in replays)
    steps: dict[int, list[float]] = {rows: [] for rows in ROWS if rows < longest}
    prefills: list[list[float]] = [[] for _ in replays]
    ends_at = time.perf_counter() + seconds
    for index, rows in _visits(len(replays), steps):
        if time.perf_counter() >= ends_at and all(steps.values()) and all(prefills):
            break
        prefill_s, step_s = time_replay(replays[index], rows)
        prefills[index].append(prefill_s)
        steps[rows] += step_s
    return {
        "step_s": {rows: median(measured) for rows, measured in steps.items()},
        "prefill_s": [median(measured) for measured in prefills],
    }


def _visits(replays: int, counts: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Every answer with every number of rows, mixed so that drift falls on all alike."""
    return cycle([(index, rows) for index in range(replays) for rows in counts])


def _answer(arguments: argparse.Namespace) -> object:
    tokenizer = AutoTokenizer.from_pretrained(arguments.target, local_files_only=True)
    target = BareTarget(arguments.target, arguments.dtype)
    replays = []
    for text in json.loads(arguments.texts.read_text()):
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        replays.append({"prompt": prompt, "answer": target.answer(prompt, arguments.limit)})
    return replays


def _time_target(arguments: argparse.Namespace) -> object:
    kind = EngineTarget if arguments.ours else BareTarget
    target = kind(arguments.target, arguments.dtype)
    replays = read_replays(arguments.replays)
    _wait_for_start()
    return time_steps(
        lambda replay, rows: target.time_replay(replay.prompt, replay.answer, rows),
        replays,
        arguments.seconds,
    )


def _time_draft(arguments: argparse.Namespace) -> object:
    replays = read_replays(arguments.replays)
    with BareDraft(arguments.draft) as draft:

        def time_replay(replay: Replay, rows: int) -> tuple[float, list[float]]:
            _, seconds = draft.time_replay(replay.prompt, replay.answer, rows)
            return seconds[0], seconds[1:]

        agrees = [draft.time_replay(one.prompt, one.answer, 1)[0] for one in replays]
        _wait_for_start()
        return time_steps(time_replay, replays, arguments.seconds) | {"agrees": agrees}


def _wait_for_start() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def main() -> None:
    parser = argparse.ArgumentParser(description="One side without our code.")
    sides = parser.add_subparsers(required=True)
    answer = sides.add_parser("answer")
    answer.add_argument("--texts", type=Path, required=True)
    answer.add_argument("--limit", type=int, required=True)
    answer.set_defaults(run=_answer)
    target = sides.add_parser("target")
    target.set_defaults(run=_time_target, ours=False)
    engine = sides.add_parser("engine")
    engine.set_defaults(run=_time_target, ours=True)
    draft = sides.add_parser("draft")
    draft.add_argument("--draft", type=Path, required=True)
    draft.set_defaults(run=_time_draft)
    for side in (answer, target, engine):
        side.add_argument("--target", type=Path, required=True)
        side.add_argument("--dtype", default="float32")
    for side in (target, engine, draft):
        side.add_argument("--replays", type=Path, required=True)
        side.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    print(json.dumps(arguments.run(arguments)), flush=True)


if __name__ == "__main__":
    main()
