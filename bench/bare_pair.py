"""The inputs of the ideal, measured by processes that hold none of our code, each on its core.

It knows how to drive `bare`, not what the figures are for.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ideal import Answer, Machine
from bench.pin import Place
from bench.replay import Replay, read_replays
from bench.step_times import StepTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Which core each side computes on; `link` is the emulator's, if there is one."""

    cloud: Place
    device: Place
    link: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A target and a draft of one vocabulary."""

    target: Path  # transformers folder
    draft: Path  # GGUF
    dtype: str = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """What the bare loops took, and where the draft agrees."""

    target: StepTimes
    engine: StepTimes  # the target in our engine
    draft: StepTimes
    answers: tuple[Answer, ...]

    def machine(self, rtt_s: float) -> Machine:
        """With a link of this round-trip time between the two."""
        return Machine(draft=self.draft, target=self.target, rtt_s=rtt_s)

    def own_machine(self, rtt_s: float) -> Machine:
        """The same with our engine at the far end."""
        return Machine(draft=self.draft, target=self.engine, rtt_s=rtt_s)

    @classmethod
    def mean(cls, one: "Bare", other: "Bare") -> "Bare":
        """Of two measurements of the same answers."""
        pairs = zip(one.answers, other.answers, strict=True)
        return cls(
            target=one.target.mean(other.target),
            engine=one.engine.mean(other.engine),
            draft=one.draft.mean(other.draft),
            answers=tuple(first.mean(second) for first, second in pairs),
        )


class BarePair:
    """Measures one pair; files pass through `folder`."""

    def __init__(self, pair: Pair, places: Places, folder: Path) -> None:
        self._pair, self._places = pair, places
        self._texts = folder / "texts.json"
        self._replays = folder / "replays.json"

    def answer(self, texts: Sequence[str], limit: int) -> list[Replay]:
        """The target's greedy answers; they are what is replayed from then on."""
        self._texts.write_text(json.dumps(list(texts)))
        pair = self._pair
        options = ["--texts", str(self._texts), "--limit", str(limit), "--dtype", pair.dtype]
        with self._start(
            self._places.cloud, ["answer", "--target", str(pair.target), *options]
        ) as process:
            self._replays.write_text(_finish(process))
        return read_replays(self._replays)

    def measure(self, seconds: float, *, together: bool, target: Path | None = None) -> Bare:
        """Time both sides for so long, at once or one after the other, then our engine by itself.

        `target` may be a padded one, whose answers are the same. Raises RuntimeError when a side
        fails.
        """
        timing = ["--replays", str(self._replays), "--seconds", str(seconds)]
        folder, dtype = str(target or self._pair.target), self._pair.dtype
        cloud = ["target", "--target", folder, "--dtype", dtype, *timing]
        device = ["draft", "--draft", str(self._pair.draft), *timing]
        with (
            self._start(self._places.cloud, cloud) as target_side,
            self._start(self._places.device, device) as draft_side,
        ):
            sides = (target_side, draft_side)
            for side in sides:
                _await_ready(side)
            measured = _go(sides) if together else [_go([side])[0] for side in sides]
        with self._start(self._places.cloud, ["engine", *cloud[1:]]) as engine_side:
            _await_ready(engine_side)
            measured += _go([engine_side])
        return _read(*measured)

    @staticmethod
    def _start(place: Place, arguments: Sequence[str]) -> subprocess.Popen[str]:
        return place.start([sys.executable, "-m", "bench.bare", *arguments])


def _await_ready(side: subprocess.Popen[str]) -> None:
    if side.stdout is None or side.stdout.readline() != "ready\n":
        raise RuntimeError("a bare loop did not start")


def _go(sides: Sequence[subprocess.Popen[str]]) -> list[str]:
    for side in sides:
        if side.stdin is None:
            raise RuntimeError("a bare loop cannot be told to start")
        side.stdin.write("\n")
        side.stdin.flush()
    return [_finish(side) for side in sides]


def _finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"a bare loop ended with {process.returncode}")
    return output


def _read(*lines: str) -> Bare:
    target, draft, engine = map(json.loads, lines)
    prefills = zip(target["prefill_s"], draft["prefill_s"], draft["agrees"], strict=True)
    return Bare(
        target=_step_times(target["step_s"]),
        engine=_step_times(engine["step_s"]),
        draft=_step_times(draft["step_s"]),
        answers=tuple(
            Answer(agrees=tuple(agrees), target_prefill_s=cloud_s, draft_prefill_s=device_s)
            for cloud_s, device_s, agrees in prefills
        ),
    )


def _step_times(by_rows: dict[str, float]) -> StepTimes:
    return StepTimes({int(rows): seconds for rows, seconds in by_rows.items()})
