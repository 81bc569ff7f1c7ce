"""How long a generation bears a cloud that is not there, and what it says when it gives up."""

from collections.abc import Callable, Sequence

import pytest

from outrider_edge.errors import CloudUnavailable
from outrider_edge.generation import Endurance, Generation, Progress
from outrider_edge.policy import Policy
from outrider_edge.request import Request
from outrider_edge.speculate import Speculation
from outrider_protos.words import CloudWord, DeviceWord

ENDURANCE = Endurance(resume_s=30.0, first_retry_s=0.1, longest_retry_s=5.0)


class Nobody:
    """A dialer whose lines are lost at once."""

    def __init__(self, retry_after_s: float | None) -> None:
        self.calls = 0
        self._retry_after_s = retry_after_s

    def dial(self, wake: Callable[[], None]) -> "Nobody":
        self.calls += 1
        return self

    def send(self, words: Sequence[DeviceWord]) -> None:
        pass

    def receive(self) -> list[CloudWord]:
        raise CloudUnavailable("no cloud at all", self._retry_after_s)

    def close(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def abandoned(retry_after_s: float | None) -> tuple[Generation, Nobody, float]:
    """A generation that gave up, whom it called, and when it did."""
    request = Request(
        session=b"s" * 16,
        log=(5, 6, 7),
        keep=0,
        max_length=40,
        end_ids=frozenset({0}),
        patience_ms=None,
        rollback=None,
        run_ahead=4,
    )
    nobody, clock = Nobody(retry_after_s), Clock()
    generation = Generation(
        Speculation(request, Policy()),
        draft=None,
        dialer=nobody,
        sink=lambda events: None,
        endurance=ENDURANCE,
        clock=clock,
    )
    while generation.step(lambda: None) is not Progress.DONE:
        clock.now_s = max(generation.wake_at_s or 0.0, clock.now_s)
    return generation, nobody, clock.now_s


@pytest.mark.parametrize("retry_after_s", [None, 0.0, 0.5, 1e9])
def test_it_gives_up_soon_after_its_deadline_whatever_the_cloud_asks_for(
    retry_after_s: float | None,
) -> None:
    generation, nobody, at_s = abandoned(retry_after_s)
    assert ENDURANCE.resume_s <= at_s <= ENDURANCE.resume_s + ENDURANCE.longest_retry_s
    assert nobody.calls < 100
    assert generation.outcome is not None
    assert str(generation.outcome.error).endswith("for 30 s: there is no answer")


def test_it_comes_back_when_the_cloud_said() -> None:
    assert abandoned(0.5)[1].calls == 61
