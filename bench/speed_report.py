"""The page about speed: what was measured, and whether each claim holds. It measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.bare_pair import Bare
from bench.best_plan import mean_acceptance
from bench.heat import HeatResult, Link
from bench.race import Variant
from bench.report import Report
from bench.samples import Ratio, share_of, speedup
from bench.step_times import StepTimes

_PIPELINED = (Variant.INFINITE, Variant.ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One variant in one heat over one link, against what it is compared with."""

    heat: HeatResult
    link: Link
    variant: Variant
    over_stream: Ratio
    of_ideal: Ratio
    of_own_ideal: Ratio
    ideal_over_stream: float
    over_rounds: Ratio


def points(heats: Sequence[HeatResult]) -> list[Point]:
    """Everything that was measured, in the order of the tables."""
    return [
        _point(heat, link, variant)
        for heat in heats
        for link in heat.results
        for variant in heat.results[link]
    ]


def _point(heat: HeatResult, link: Link, variant: Variant) -> Point:
    results = heat.results[link]
    own = results[variant].samples
    ideal = heat.ideal(link, variant)
    return Point(
        heat=heat,
        link=link,
        variant=variant,
        over_stream=speedup(results[Variant.STREAM].samples, own),
        of_ideal=share_of(ideal.seconds, own),
        of_own_ideal=share_of(heat.own_ideal(link, variant).seconds, own),
        ideal_over_stream=heat.ideal(link, Variant.STREAM).seconds / ideal.seconds,
        over_rounds=speedup(results[Variant.ROUNDS].samples, own),
    )


def write_claims(report: Report, measured: Sequence[Point]) -> None:
    """Each claim with the worst point it has to hold at."""
    report.heading("Claims")
    rows = []
    for name, needed, ratios in _claims(measured):
        worst = min(ratios, key=lambda ratio: ratio.value, default=None)
        holds = "nowhere to be tested" if worst is None else _verdict(worst, needed)
        rows.append((name, f"{needed:g}", "" if worst is None else str(worst), holds))
    report.table(("claim", "at least", "worst point", ""), rows)


def _claims(measured: Sequence[Point]) -> list[tuple[str, float, list[Ratio]]]:
    pipelined = [point for point in measured if point.variant in _PIPELINED]
    zero = [point for point in measured if point.variant is Variant.ZERO]
    useless = [point for point in measured if point.variant is Variant.USELESS]
    infinite = [point for point in measured if point.variant is Variant.INFINITE]
    return [
        ("share of the ideal, RTT 0", 0.85, [p.of_ideal for p in pipelined if not p.link.rtt_ms]),
        ("share of the ideal, RTT above 0", 0.8, [p.of_ideal for p in pipelined if p.link.rtt_ms]),
        ("patience 0 over streaming", 0.97, [p.over_stream for p in zero]),
        ("patience 0, useless draft, over streaming", 0.97, [p.over_stream for p in useless]),
        (
            "patience 0 over streaming where the ideal is 1.6 or more",
            1.4,
            [p.over_stream for p in zero if p.ideal_over_stream >= 1.6],
        ),
        (
            "infinite patience over rounds, RTT above 0",
            1.0,
            [p.over_rounds for p in infinite if p.link.rtt_ms],
        ),
    ]


def _verdict(worst: Ratio, needed: float) -> str:
    return "holds" if worst.value >= needed else "**does not hold**"


def write_heat(report: Report, heat: HeatResult) -> None:
    """The bare loops of one heat, and its table."""
    layers = f"{heat.layers} padding layers" if heat.layers else "the target as it is"
    report.heading(f"{heat.name}, {layers}")
    target_s, draft_s = heat.bare.target[1], heat.bare.draft[1]
    report.say(
        f"{heat.answers} answers of {_tokens(heat.bare)} tokens in all, {heat.repeats} "
        f"repetitions; acceptance {mean_acceptance(heat.bare.answers):.2f}. "
        f"Target step {1000 * target_s:.2f} ms, draft step {1000 * draft_s:.2f} ms (ratio "
        f"{target_s / draft_s:.0f}). {heat.mismatches} runs wrote other tokens than the bare "
        "target did (near-ties)."
    )
    report.table(
        ("milliseconds by rows", *map(str, heat.bare.target.measured)),
        [
            ("target, both busy", *_steps(heat.bare.target)),
            ("target, alone", *_steps(heat.alone.target)),
            ("target, our engine", *_steps(heat.bare.engine)),
            ("draft, both busy", *_steps(heat.bare.draft)),
            ("draft, alone", *_steps(heat.alone.draft)),
        ],
    )
    rows = [_row(point) for point in points([heat])]
    head = ("RTT ms", "in target steps", "variant", "span/window", "tokens/s", "over streaming")
    shares = ("ideal over streaming", "share of the ideal", "at our engine's steps")
    report.table((*head, *shares, "passes a token"), rows)


def _row(point: Point) -> tuple[str, ...]:
    heat, link = point.heat, point.link
    result = heat.results[link][point.variant]
    plan = None if result.plans is None else result.plans.product
    speed = _tokens(heat.bare) / result.samples.total_s
    return (
        f"{link.rtt_ms:g}",
        f"{link.measured_s / heat.bare.target[1]:.1f}",
        point.variant.value,
        "" if plan is None else f"{plan.span}/{plan.window}",
        f"{speed:.1f}",
        str(point.over_stream),
        f"{point.ideal_over_stream:.2f}",
        str(point.of_ideal),
        str(point.of_own_ideal),
        f"{result.passes_per_token:.2f}",
    )


def _tokens(bare: Bare) -> int:
    return sum(len(answer.agrees) for answer in bare.answers)


def _steps(times: StepTimes) -> list[str]:
    return [f"{1000 * seconds:.2f}" for seconds in times.measured.values()]
