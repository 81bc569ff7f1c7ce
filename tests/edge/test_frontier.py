"""The frontier of thresholds, and the choice on it."""

from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.frontier import Point, cheapest, frontier

SHARES = st.sampled_from([0.0, 0.01, 0.02, 0.05, 0.1, 0.3])


def point(
    *,
    fallback: float,
    rollback: float,
    calls_per_token: float,
    disagreement: float = 0.0,
    bytes_per_token: float = 1.0,
) -> Point:
    return Point(
        fallback=fallback,
        rollback=rollback,
        disagreement=disagreement,
        accuracy=None,
        calls_per_token=calls_per_token,
        bytes_per_token=bytes_per_token,
        tokens_per_s=1.0,
    )


POINTS = st.lists(
    st.builds(
        point,
        fallback=SHARES,
        rollback=SHARES,
        disagreement=SHARES,
        calls_per_token=SHARES,
        bytes_per_token=SHARES,
    ),
    min_size=1,
    max_size=12,
)


def beats(one: Point, other: Point) -> bool:
    """No worse in either, better in one."""
    pair = (one.disagreement, one.calls_per_token), (other.disagreement, other.calls_per_token)
    return all(a <= b for a, b in zip(*pair, strict=True)) and pair[0] != pair[1]


@given(POINTS)
def test_nothing_beats_the_frontier_and_it_beats_or_equals_everything(points: list[Point]) -> None:
    best = frontier(points)
    assert not any(beats(other, point) for point in best for other in points)
    figures = {(p.disagreement, p.calls_per_token) for p in best}
    for point in points:
        on_it = (point.disagreement, point.calls_per_token) in figures
        assert on_it or any(beats(other, point) for other in best)


@given(POINTS, SHARES)
def test_the_cheapest_keeps_to_the_allowance(points: list[Point], allowed: float) -> None:
    chosen = cheapest(points, allowed)
    fitting = [p for p in points if p.disagreement <= allowed]
    if chosen is None:
        assert not fitting
    else:
        assert chosen in fitting
        assert chosen.calls_per_token <= 1.05 * min(p.calls_per_token for p in fitting)


@given(st.permutations(range(4)), st.lists(st.floats(1.0, 1.04), min_size=4, max_size=4))
def test_noise_does_not_choose(order: list[int], noise: list[float]) -> None:
    thresholds = [(0.3, 2.0), (0.5, 2.0), (0.9, 2.0), (0.9, 4.0)]
    points = [
        point(fallback=f, rollback=r, calls_per_token=0.1 * factor)
        for (f, r), factor in zip(thresholds, noise, strict=True)
    ]
    chosen = cheapest([points[n] for n in order], 0.05)
    assert chosen is not None
    assert (chosen.fallback, chosen.rollback) == (0.9, 2.0)
