"""What a step of the updater does, and what it came to. Values alone."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

MOST_AT_ONCE: Final = 32  # steps without a pause, should they never come to an end


class Phase(Enum):
    """Where a step is; a device may die in any of them."""

    LOOKING = "looking for a release"
    FETCHING = "fetching it"
    TESTING = "trying it in a process of its own"
    REPLAYING = "replaying recent answers"
    BEGINNING = "beginning a trial"
    JUDGING = "judging the answers of a trial"
    ENDING = "ending a trial"


class State(Enum):
    """What a step came to."""

    UP_TO_DATE = "up to date"
    PINNED = "pinned"
    ON_TRIAL = "on trial"
    COMMITTED = "committed"
    REVERTED = "reverted"
    REFUSED = "refused"
    UNFIT = "unfit"  # this device cannot use it
    UNAVAILABLE = "unavailable"  # the channel does not have it, or not rightly


@dataclass(frozen=True, slots=True)
class Step:
    """`text` is for people; `again` if another step would find something to do at once."""

    state: State
    release: int | None
    text: str
    again: bool = False
