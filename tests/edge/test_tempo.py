"""Span and window follow from what was measured."""

from outrider_edge.policy import Shape
from outrider_edge.tempo import Tempo

FREE = Shape()


def tempo(acceptance: float, draft_s: float, token_s: float) -> Tempo:
    running = Tempo()
    for _ in range(400):
        running.drafted(draft_s)
        running.committed(2, 2 * token_s)
        running.compared(hits=round(acceptance / (1 - acceptance)), misses=1)
    return running


def test_given_numbers_are_kept() -> None:
    running = tempo(0.9, 0.001, 0.01)
    assert running.span(Shape(span=3, window=7)) == 3
    assert running.window(Shape(span=3, window=7)) == 7


def test_a_slow_draft_sends_every_node_at_once() -> None:
    assert tempo(0.8, 0.004, 0.009).span(FREE) == 1


def test_a_fast_draft_on_a_slow_link_gathers_more() -> None:
    near, far = tempo(0.8, 0.00025, 0.0015), tempo(0.8, 0.00025, 0.022)
    assert 1 < near.span(FREE) < far.span(FREE) <= 16


def test_a_better_draft_runs_further_ahead() -> None:
    assert tempo(0.5, 0.001, 0.01).window(FREE) < tempo(0.93, 0.001, 0.01).window(FREE) <= 64


def test_a_commit_of_nothing_is_no_measure_of_speed() -> None:
    running = tempo(0.8, 0.00025, 0.0015)
    before = running.span(FREE)
    running.committed(0, 1e6)
    assert running.span(FREE) == before


def test_nothing_measured_yet_is_fine() -> None:
    fresh = Tempo()
    assert fresh.span(FREE) == 4
    assert fresh.window(FREE) >= 8
