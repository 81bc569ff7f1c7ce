"""What a device says of a release to whoever offers it: counts, and no text."""

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from outrider_edge.releases.examination import Compared
from outrider_protos.release import LineName, Number

_MOST: Final = 1 << 63  # that the wire can say


class Fate(Enum):
    """What has become of a release on this device."""

    ON_TRIAL = "on trial"
    COMMITTED = "committed"
    REVERTED = "reverted"
    REFUSED = "refused"
    LEFT = "left"  # withdrawn or replaced: nothing was found wrong with it here


def _counted(pair: Compared) -> Compared:
    counts = (pair.answers, pair.positions, pair.new, pair.old)
    if min(counts) < 0 or max(counts) >= _MOST:
        raise ValueError("these are no counts")
    return pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """`device` is a random number in hexadecimal, made for this alone. It waits on the disk until
    it is heard, so what is read there must be one.
    """

    device: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    line: LineName
    release: Number
    fate: Fate
    pairs: tuple[Annotated[Compared, AfterValidator(_counted)], ...]  # one a domain
