"""How installed drafts are called: by people who mean one, and to people who are told of one.

Pure; what is installed is the pointer's affair.
"""

from typing import Final

from outrider_edge.errors import BadInput
from outrider_edge.releases.pointer import Pointer, files_of

_SHOWN: Final = 12  # characters of a digest that tell drafts apart
_FEWEST: Final = 6  # that a person must give


def ordered(pointer: Pointer) -> list[str]:
    """The drafts that are kept, the newest first."""
    wanted = (pointer.trial, pointer.active, pointer.previous, pointer.factory)
    return list(dict.fromkeys(name for name in wanted if name is not None))


def named(pointer: Pointer, given: str) -> str:
    """Which draft is meant by a number, what `list` shows, or a beginning. Raises BadInput."""
    names = ordered(pointer)
    numbers = {str(number): name for name, number in pointer.numbers}
    found = [name for name in names if given == short(name) or name == numbers.get(given)]
    if not found and len(given) >= _FEWEST:
        found = [name for name in names if name.startswith(given.lower())]
    if len(found) != 1:
        raise BadInput(f"{given} is no draft on this device; `outrider drafts list` shows them")
    return found[0]


def short(name: str) -> str:
    """Enough of a draft's digests to tell it from others."""
    return "+".join(file[:_SHOWN] for file in files_of(name))


def called(pointer: Pointer, name: str) -> str:
    """For people: which release it is, or where else it came from."""
    number, shown = pointer.number(name), short(name)
    if number is not None:
        return f"release {number} ({shown})"
    return f"the draft it came with ({shown})" if name == pointer.factory else shown
