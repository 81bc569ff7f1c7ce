"""What a device says of a release to whoever offers it: counts, and no text."""

from dataclasses import dataclass
from enum import Enum

from outrider_edge.releases.examination import Compared


class Fate(Enum):
    """What has become of a release on this device."""

    ON_TRIAL = "on trial"
    COMMITTED = "committed"
    REVERTED = "reverted"
    REFUSED = "refused"
    LEFT = "left"  # withdrawn or replaced: nothing was found wrong with it here


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """`device` is a random number in hexadecimal, made for this alone."""

    device: str
    line: str
    release: int
    fate: Fate
    pairs: tuple[Compared, ...]  # one a domain
