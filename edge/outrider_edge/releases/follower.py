"""Following a channel for as long as one is let: when to step.

Looks are spread by chance, so that a thousand devices do not come at once. After an error the next
look comes sooner, and then ever later. Time, chance and waiting are given; it knows neither
networks nor drafts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from outrider_edge.errors import Busy, EdgeError
from outrider_edge.releases.step import MOST_AT_ONCE, State, Step

_JITTER: Final = 0.2  # of a pause, either way
_SHORTEST_S: Final = 1.0  # whatever is asked for
_LONGEST_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Seconds from one step to the next."""

    every_s: float = 3600.0
    on_trial_s: float = 30.0
    trouble_s: float = 60.0  # after the first error, doubled by each further one

    def pause_s(self, step: Step | None, errors: int, chance: float) -> float:
        """`chance` is from 0 to 1, drawn anew each time; no step: it ended in an error."""
        if step is None:
            pause_s = min(self.trouble_s * 2.0 ** min(errors - 1, 16), self.every_s)
        else:
            pause_s = self.every_s
            if step.state is State.ON_TRIAL:
                pause_s = min(self.on_trial_s, self.every_s)
        pause_s *= 1 + _JITTER * (2 * chance - 1)
        return max(_SHORTEST_S, min(pause_s, _LONGEST_S))


class Wait(Protocol):
    """Sleeps; whether to stop."""

    def __call__(self, seconds: float, /) -> bool: ...


class Follower:
    """`run` returns when `wait` says so. Errors are told and survived."""

    def __init__(
        self,
        step: Callable[[], Step],
        rhythm: Rhythm,
        chance: Callable[[], float],
        told: Callable[[str], None],
    ) -> None:
        self._step, self._rhythm = step, rhythm
        self._chance, self._told = chance, told
        self._last = ""

    def run(self, wait: Wait) -> None:
        """The first look comes after a part of a pause, by chance: devices start together too."""
        errors, at_once = 0, 0
        pause_s = min(self._rhythm.trouble_s, self._rhythm.every_s) * self._chance()
        while not wait(pause_s):
            step, errors = self._try(errors)
            at_once = at_once + 1 if step is not None and step.again else 0
            if 0 < at_once < MOST_AT_ONCE:
                pause_s = 0.0
            else:
                pause_s = self._rhythm.pause_s(step, errors, self._chance())
                at_once = 0

    def _try(self, errors: int) -> tuple[Step | None, int]:
        try:
            step = self._step()
        except Busy:
            return Step(State.ON_TRIAL, None, ""), 0  # another process is at it
        except EdgeError as error:
            self._say(str(error))
            return None, errors + 1
        self._say(step.text)
        return step, 0

    def _say(self, text: str) -> None:
        """The same thing once."""
        if text != self._last:
            self._told(text)
        self._last = text
