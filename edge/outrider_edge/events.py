"""What a generation tells its reader, token by token. It knows ids, not text.

Positions are indices of the token log, the prompt included.
"""

from dataclasses import dataclass
from enum import Enum


class Origin(Enum):
    """Who wrote a token that stands (or is shown provisionally)."""

    DRAFT = "draft"  # proposed by the device and let stand by the target
    TARGET = "target"  # the target's own choice
    PROVISIONAL = "provisional"  # Big-Little: shown before the verdict
    UNVERIFIED = "unverified"  # written while the cloud was away, or in local mode


@dataclass(frozen=True, slots=True)
class Written:
    """A token now stands in the text at `position`."""

    position: int
    token: int
    origin: Origin


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The target has judged the text before position `length`; it will not change any more."""

    length: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The provisional text from position `to` on is withdrawn."""

    to: int


Event = Written | Confirmed | RolledBack
