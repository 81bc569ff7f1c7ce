"""Checks of single values from a peer. Each returns the value, or raises `MalformedMessage`.

The text names the field and the bound, not the value. What a field means is not known here.
"""

import math
from collections.abc import Mapping
from typing import TypeVar

from outrider_protos.errors import MalformedMessage

Member = TypeVar("Member")


def at_most(field: str, value: int, most: int) -> int:
    if value > most:
        raise MalformedMessage(f"{field} is above {most}")
    return value


def within(field: str, value: int, least: int, most: int) -> int:
    if value < least:
        raise MalformedMessage(f"{field} is below {least}")
    return at_most(field, value, most)


def exactly(field: str, value: bytes, size: int) -> bytes:
    """Bytes of one length."""
    if len(value) != size:
        raise MalformedMessage(f"{field} is not {size} bytes long")
    return value


def amount(field: str, value: float, most: float = math.inf) -> float:
    """A finite number that is neither negative nor above `most`."""
    if not (math.isfinite(value) and value >= 0):
        raise MalformedMessage(f"{field} is not a finite number of at least 0")
    if value > most:
        raise MalformedMessage(f"{field} is above {most:.0f}")
    return value


def member(field: str, number: int, members: Mapping[int, Member]) -> Member:
    """What a number of an enum stands for."""
    if number not in members:
        raise MalformedMessage(f"{field} is missing or unknown")
    return members[number]
