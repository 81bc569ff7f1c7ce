"""Which of the installed drafts is used, which may follow it, and which must never come back.

Pure values: every change is a new pointer, and none of them leaves a device without a draft that
is known to be good. A draft is named by its file's SHA-256 in hexadecimal; one that is a file under
an adapter by both, joined with a plus. It knows no files.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from outrider_edge.errors import BadInput

MOST_REFUSED: Final = 256  # remembered, the newest


def files_of(name: str) -> tuple[str, ...]:
    """The file, and the adapter over it if there is one."""
    return tuple(name.split("+"))


def under(file: str, adapter: str) -> str:
    """The name of a file under an adapter."""
    return f"{file}+{adapter}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """`factory` came with the program, or was the first to be pulled: it is the last resort."""

    factory: str
    active: str
    previous: str | None = None
    trial: str | None = None
    pinned: bool = False  # nothing new is begun
    refused: tuple[str, ...] = ()
    numbers: tuple[tuple[str, int], ...] = ()  # which release a draft is, of those that are one

    def number(self, name: str) -> int | None:
        """Which release a draft is; None for one that came another way."""
        return dict(self.numbers).get(name)

    @property
    def drafting(self) -> str:
        """The one to load: on trial if there is one."""
        return self.trial or self.active

    @property
    def kept(self) -> frozenset[str]:
        """Drafts whose files must stay on the disk."""
        named = (self.factory, self.active, self.previous, self.trial)
        return frozenset(name for name in named if name is not None)

    @property
    def kept_files(self) -> frozenset[str]:
        """The files themselves."""
        return frozenset(file for name in self.kept for file in files_of(name))

    def begin_trial(self, name: str, number: int | None = None) -> "Pointer":
        """Try a draft, the active one being there to go back to. Raises BadInput."""
        if self.pinned:
            raise BadInput("the draft is pinned: unpin it first")
        if name in self.refused:
            raise BadInput("this draft was tried before and did worse: it is not tried again")
        if self.trial is not None:
            raise BadInput("another draft is on trial")
        if name == self.active:
            raise BadInput("this draft is in use already")
        known = tuple(each for each in self.numbers if each[0] in self.kept - {name})
        begun = replace(self, trial=name, numbers=known)
        return begun if number is None else begun.numbered(name, number)

    def commit(self) -> "Pointer":
        """The trial went well."""
        if self.trial is None:
            return self
        return replace(self, previous=self.active, active=self.trial, trial=None)

    def revert(self) -> "Pointer":
        """The trial went badly: back to the active one, and never again to this."""
        return self if self.trial is None else replace(self.refuse(self.trial), trial=None)

    def call_off(self) -> "Pointer":
        """The trial has no point any more, through no fault of the draft's."""
        return replace(self, trial=None)

    def go_back(self, withdrawn: Collection[int] = ()) -> "Pointer":
        """The active draft was withdrawn: to the one before, if that was not, or the factory's."""
        number = None if self.previous is None else self.number(self.previous)
        back = self.factory if self.previous is None or number in withdrawn else self.previous
        return replace(self, active=back, previous=None)

    def leaves(self, withdrawn: Collection[int]) -> bool:
        """Whether the active draft was withdrawn, and there is another to go back to."""
        number = self.number(self.active)
        return number in withdrawn and self.go_back(withdrawn).active != self.active

    def numbered(self, name: str, number: int) -> "Pointer":
        """The same draft was released again, under another number."""
        others = [(draft, one) for draft, one in self.numbers if draft != name]
        return replace(self, numbers=(*others, (name, number)))

    def roll_back(self) -> "Pointer":
        """The user wants the draft before this one, or else the factory's. Raises BadInput."""
        if self.trial is not None:
            return self.revert()
        back = self.previous or self.factory
        if back == self.active:
            raise BadInput("there is no older draft to go back to")
        return replace(self.refuse(self.active), active=back, previous=None)

    def pin(self, name: str | None = None) -> "Pointer":
        """Stay with the active draft, or with an older one that is kept. Raises BadInput."""
        if self.trial is not None:
            raise BadInput("a draft is on trial: roll it back, or wait for its end")
        if name is None or name == self.active:
            return replace(self, pinned=True)
        if name not in self.kept:
            raise BadInput("this draft is not kept here")
        return replace(self, active=name, previous=self.active, pinned=True)

    def unpin(self) -> "Pointer":
        """Let newer ones come again."""
        return replace(self, pinned=False)

    def refuse(self, name: str) -> "Pointer":
        """Never try it. The factory's may be refused as a release: it stays the last resort."""
        if name in self.refused:
            return self
        return replace(self, refused=(*self.refused, name)[-MOST_REFUSED:])
