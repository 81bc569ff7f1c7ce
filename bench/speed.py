"""The main measurement: the product's variants against streaming, rounds and the ideal.

The cloud has one core and the device the other, in every variant; the link emulator is a process
of its own. Runs are interleaved, ratios are of medians within this one run. The ideal is simulated
from bare loops measured before and after on the same cores.

    python -m bench.speed --paddings 0 24 --output docs/results/speed.md
    python -m bench.speed --target FOLDER --draft FILE.gguf --prompts maths.jsonl sql.jsonl

Without `--prompts` (see `bench.prompts`) it takes held-out tasks of the demo pair. `--quick` takes
three minutes at most and proves little.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.bare_pair import Bare, BarePair, Pair, Places
from bench.children import child, linked, port_of
from bench.heat import Heat, HeatResult, Link, prompts_of, repeats_within
from bench.pin import Place, may_be_real_time, where
from bench.prompts import read_prompts
from bench.race import Track
from bench.report import Report
from bench.round_trip import measure_rtt_s
from bench.speed_report import points, write_claims, write_heat
from bench.useless_draft import spoil_draft
from outrider_cloud.shipped import DEMO, resolve
from outrider_edge.config import SHIPPED_DRAFT

PLACES = Places(
    cloud=Place(core=0), device=Place(core=1), link=Place(core=1, real_time=may_be_real_time())
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured."""

    rtts_ms: tuple[float, ...]
    answers: int
    max_tokens: int
    bare_s: float
    minutes: float


FULL = Scale(rtts_ms=(0, 20, 50, 100), answers=4, max_tokens=128, bare_s=6, minutes=22)
QUICK = Scale(rtts_ms=(0, 50), answers=2, max_tokens=48, bare_s=2, minutes=1.5)


class Speed:
    """All heats of one pair; files go to `folder`."""

    def __init__(self, pair: Pair, scale: Scale, folder: Path) -> None:
        self._pair, self._scale, self._folder = pair, scale, folder
        self._useless = folder / "useless.gguf"
        spoil_draft(pair.draft, self._useless)
        self._links = [
            Link(rtt_ms=rtt_ms, measured_s=measure_rtt_s(PLACES.link, rtt_ms) if rtt_ms else 0.0)
            for rtt_ms in scale.rtts_ms
        ]
        self.places: dict[str, str] = {}  # where each process ran

    def heats(self, prompts: list[Path], paddings: list[int]) -> Iterator[HeatResult]:
        """One by one, the padded targets one after the other."""
        sides = {}
        for path in prompts:
            folder = self._folder / prompts_of(path)
            folder.mkdir()
            bare_pair = BarePair(self._pair, PLACES, folder)
            texts = read_prompts(path, self._scale.answers)
            sides[prompts_of(path)] = bare_pair, bare_pair.answer(texts, self._scale.max_tokens)
        budget_s = 60 * self._scale.minutes / (len(paddings) * len(prompts))
        for layers in paddings:
            target = self._folder / f"padded-{layers}"
            _pad(self._pair.target, target, layers)
            with self._tracks(target) as tracks:
                for name, (bare_pair, replays) in sides.items():
                    heat = Heat(replays, tracks, self._scale.max_tokens)
                    yield self._run(heat, name, layers, bare_pair, target, budget_s)

    def _run(
        self,
        heat: Heat,
        name: str,
        layers: int,
        bare_pair: BarePair,
        target: Path,
        budget_s: float,
    ) -> HeatResult:
        seconds = self._scale.bare_s
        before = bare_pair.measure(seconds, together=True, target=target)
        alone = bare_pair.measure(seconds / 2, together=False, target=target)
        one_s = heat.prepare(before)
        heat.warm()
        repeats = repeats_within(budget_s - 4 * seconds, one_s)
        for seed in range(repeats):
            heat.repeat(seed)
        after = bare_pair.measure(seconds, together=True, target=target)
        return HeatResult(
            name=name,
            layers=layers,
            bare=Bare.mean(before, after),
            alone=alone,
            answers=self._scale.answers,
            repeats=repeats,
            mismatches=heat.mismatches,
            results=heat.results,
        )

    @contextmanager
    def _tracks(self, target: Path) -> Iterator[dict[Link, Track]]:
        """A cloud with this target, and a link to it for every round-trip time."""
        command = [sys.executable, "-m", "outrider_cloud", "serve", "--target", str(target)]
        command += ["--listen", "127.0.0.1:0", "--threads", "1", "--json"]
        with ExitStack() as stack:
            cloud, said = stack.enter_context(child(PLACES.cloud, command))
            tracks = {}
            for link in self._links:
                port = stack.enter_context(
                    linked(PLACES.link, port_of(said["address"]), link.rtt_ms)
                )
                track = Track(port, self._pair.draft, self._useless)
                tracks[link] = stack.enter_context(track)
            self.places = {"the cloud": where(cloud.pid), "the device": where(os.getpid())}
            yield tracks


def _pad(source: Path, folder: Path, layers: int) -> None:
    """In a process of its own: a device has no torch."""
    options = ["--target", str(source), "--layers", str(layers), "--output", str(folder)]
    subprocess.run([sys.executable, "-m", "bench.padding", *options], check=True)


def _demo_prompts(target: Path, domain: str, count: int, folder: Path) -> Path:
    """A prompts file of held-out tasks."""
    options = ["--domain", domain, "--target", str(target), "--limit", str(count)]
    path = folder / f"{domain}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "bench.prompts", "tasks", *options]
        subprocess.run(command, check=True, stdout=file)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed against streaming, rounds and the ideal.")
    demo = Path(resolve(DEMO))
    parser.add_argument("--target", type=Path, default=demo, help="a transformers folder")
    parser.add_argument("--draft", type=Path, default=SHIPPED_DRAFT, help="a GGUF file")
    parser.add_argument("--prompts", type=Path, nargs="+", help="instead of the demo's tasks")
    parser.add_argument("--domains", nargs="+", default=["english", "sql"], help="of those tasks")
    parser.add_argument("--paddings", type=int, nargs="+", default=[0], help="further layers")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--minutes", type=float, help="for the races of all heats together")
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    PLACES.device.take()
    scale = QUICK if arguments.quick else FULL
    if arguments.minutes is not None:
        scale = replace(scale, minutes=arguments.minutes)
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(target=arguments.target, draft=arguments.draft)
        prompts = arguments.prompts or [
            _demo_prompts(arguments.target, domain, scale.answers, Path(folder))
            for domain in arguments.domains
        ]
        speed = Speed(pair, scale, Path(folder))
        heats = list(speed.heats(prompts, arguments.paddings))
    report = Report("Speed", sys.argv)
    running = "; ".join(f"{name}: {place}" for name, place in speed.places.items())
    ahead = ", real-time" if PLACES.link.real_time else ""
    report.say(
        f"Where everything ran: {running}; the link emulator: core {PLACES.link.core}{ahead}, a "
        "process for each link; at RTT 0 the connection is direct. Intervals are 95 % of a "
        "bootstrap over repetitions. Times run from the request to the last token's arrival. The "
        "ideal's target is plain transformers; our engine packs its weights and is faster, so a "
        "share may exceed 1. The last share has our engine's own steps in the ideal."
    )
    write_claims(report, points(heats))
    for heat in heats:
        write_heat(report, heat)
    report.write(arguments.output)


if __name__ == "__main__":
    main()
