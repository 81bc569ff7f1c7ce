"""The share of the last while in which the engine computed, whenever it is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud.load import WINDOW_S, Load

SPANS = st.lists(st.tuples(st.floats(0, 8), st.floats(0, 8)), max_size=20)


@given(SPANS, st.floats(0, 20))
def test_it_is_the_share_of_the_window(spans: list[tuple[float, float]], rest_s: float) -> None:
    """Pauses and work in turn; whole seconds that have left the window by a part are gone."""
    load, now_s, worked = Load(), 1000.0, list[tuple[float, float]]()
    for pause_s, work_s in spans:
        now_s += pause_s
        load.begin(now_s)
        now_s += work_s
        load.end(now_s)
        worked.append((now_s - work_s, now_s))
    now_s += rest_s

    def within(window_s: float) -> float:
        return sum(max(0.0, end - max(begin, now_s - window_s)) for begin, end in worked)

    low, high = within(WINDOW_S - 1) / WINDOW_S, within(WINDOW_S + 1) / WINDOW_S
    assert low - 1e-6 <= load.busy(now_s) <= min(1.0, high) + 1e-6


def test_work_under_way_counts() -> None:
    load = Load()
    load.begin(100.0)
    assert load.busy(115.0) == pytest.approx(0.5)
    assert load.busy(500.0) == pytest.approx(1.0)
    load.end(500.0)
    assert load.busy(515.0) == pytest.approx(0.5)
    assert load.busy(900.0) == 0.0


def test_nothing_was_done_yet() -> None:
    assert Load().busy(5.0) == 0.0
