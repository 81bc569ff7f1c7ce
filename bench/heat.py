"""One heat: one target, one set of prompts, every link, every variant in turn, and the bare loops.

The bare loops run before and after the variants; the ideal is simulated from both together. Knows
how to measure, not how to tell it.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.bare_pair import Bare
from bench.best_plan import Choice, best_pipeline, best_rounds
from bench.ideal import Machine, Outcome, Patience, Plan, simulate_all, stream
from bench.race import Entry, Track, Variant, shape_of
from bench.replay import Replay
from bench.samples import Samples

_MOST_REPEATS = 9
_OVERHEAD = 1.3  # what a run takes more than its ideal, for planning alone
_SOFTWARE_S = 0.0003  # about what ours adds to a step or a trip; spans and windows heed it


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link as asked for and as measured."""

    rtt_ms: float
    measured_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """What a variant runs with, and what would be best if software cost nothing."""

    product: Plan
    ideal: Plan
    own: Plan  # the same for our engine's steps


@dataclass(slots=True, kw_only=True)
class Result:
    """One variant over one link."""

    plans: Plans | None  # None: the cloud alone
    samples: Samples = field(default_factory=Samples)
    passes: int = 0
    tokens: int = 0
    bytes: int = 0

    @property
    def passes_per_token(self) -> float:
        return self.passes / self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatResult:
    """All that one heat measured."""

    name: str
    layers: int  # padding
    bare: Bare
    alone: Bare  # each side timed while the other one rests
    answers: int
    repeats: int
    mismatches: int  # runs whose tokens were not those of the bare target
    results: Mapping[Link, Mapping[Variant, Result]]

    def ideal(self, link: Link, variant: Variant) -> Outcome:
        """What this variant would take at best, had the software no cost."""
        plans = self.results[link][variant].plans
        machine = self.bare.machine(link.measured_s)
        return _ideal(machine, self.bare, variant, plans.ideal if plans else None)

    def own_ideal(self, link: Link, variant: Variant) -> Outcome:
        """The same with the steps of our engine: what is missing there, its surroundings cost."""
        plans = self.results[link][variant].plans
        machine = self.bare.own_machine(link.measured_s)
        return _ideal(machine, self.bare, variant, plans.own if plans else None)


class Heat:
    """Runs the variants of one target and one set of prompts."""

    def __init__(self, replays: Sequence[Replay], tracks: Mapping[Link, Track], limit: int) -> None:
        self._replays, self._tracks, self._limit = replays, tracks, limit
        self.results: dict[Link, dict[Variant, Result]] = {}
        self.mismatches = 0

    def prepare(self, bare: Bare) -> float:
        """Choose each variant's plan for each link; the seconds one repetition should take."""
        expected_s = 0.0
        for link in self._tracks:
            machine = bare.machine(link.measured_s)
            chosen = _plans(machine, bare.own_machine(link.measured_s), bare)
            self.results[link] = {variant: Result(plans=plans) for variant, plans in chosen.items()}
            outcomes = (
                _ideal(machine, bare, variant, plans.ideal if plans else None)
                for variant, plans in chosen.items()
            )
            expected_s += sum(outcome.seconds for outcome in outcomes)
        return _OVERHEAD * expected_s

    def warm(self) -> None:
        """One short answer on every track, so that connections and caches are there."""
        for link, track in self._tracks.items():
            for variant, result in self.results[link].items():
                track.run(_entry(variant, result), self._replays[0].prompt, 8)

    def repeat(self, seed: int) -> None:
        """Every answer once over every link by every variant, in an order of its own."""
        turns = [
            (index, link, variant)
            for index in range(len(self._replays))
            for link in self._tracks
            for variant in self.results[link]
        ]
        random.Random(seed).shuffle(turns)
        for index, link, variant in turns:
            self._run(index, link, variant)

    def _run(self, index: int, link: Link, variant: Variant) -> None:
        result, replay = self.results[link][variant], self._replays[index]
        run = self._tracks[link].run(_entry(variant, result), replay.prompt, self._limit)
        self.mismatches += list(run.tokens) != replay.answer
        result.samples.add(index, run.seconds * len(replay.answer) / len(run.tokens))
        result.passes += run.passes
        result.tokens += len(run.tokens)
        result.bytes += run.bytes


def repeats_within(budget_s: float, one_s: float) -> int:
    """At least one, at most as many as make a median steady."""
    return max(1, min(_MOST_REPEATS, int(budget_s / one_s)))


def _ideal(machine: Machine, bare: Bare, variant: Variant, plan: Plan | None) -> Outcome:
    """With a useless draft the ideal is to go on as if there were none."""
    if plan is None or variant is Variant.USELESS:
        return stream(machine, bare.answers)
    return simulate_all(machine, bare.answers, plan)


def _plans(machine: Machine, own: Machine, bare: Bare) -> dict[Variant, Plans | None]:
    real = own.slower(_SOFTWARE_S)

    def each(find: Callable[[Machine], Choice]) -> Plans:
        return Plans(product=find(real).plan, ideal=find(machine).plan, own=find(own).plan)

    zero = each(lambda given: best_pipeline(given, bare.answers, Patience.ZERO))
    return {
        Variant.STREAM: None,
        Variant.INFINITE: each(lambda given: best_pipeline(given, bare.answers, Patience.INFINITE)),
        Variant.ZERO: zero,
        Variant.USELESS: zero,
        Variant.ROUNDS: each(lambda given: best_rounds(given, bare.answers)),
    }


def _entry(variant: Variant, result: Result) -> Entry:
    shape = None if result.plans is None else shape_of(result.plans.product)
    return Entry(variant=variant, shape=shape)


def prompts_of(path: Path) -> str:
    """A set of prompts is called what its file is called."""
    return path.stem
