"""Telling a channel what became of a release: what was not taken is said again, in any process.

It knows words, not why they are said.
"""

import os
from typing import Final, Protocol

from pydantic import TypeAdapter, ValidationError

from outrider_edge.errors import CloudRefused, NetworkError, PeerError
from outrider_edge.releases.examination import Compared
from outrider_edge.releases.pointer import Pointer
from outrider_edge.releases.report import Fate, Word
from outrider_edge.releases.source import Source
from outrider_edge.releases.store import DraftStore


class Listener(Source, Protocol):
    """A source that may also hear what becomes of releases."""

    def report(self, word: Word) -> None:
        """Tell it, where there is somebody to be told. Raises NetworkError, PeerError."""


class Messenger:
    """Of one line. Raises StoreFailed where a word cannot be kept."""

    def __init__(self, store: DraftStore, channel: Listener, line: str) -> None:
        self._store, self._channel, self._line = store, channel, line

    def say(self, release: int, fate: Fate, pairs: tuple[Compared, ...]) -> None:
        """Kept until it is delivered; a later word takes its place."""
        keep_word(self._store, self._line, release, fate, pairs)

    def say_in_use(self, pointer: Pointer, left: int | None) -> None:
        """Which release drafts now; without any, that the one it had was left."""
        number = pointer.number(pointer.active)
        if number is not None:
            self.say(number, Fate.COMMITTED, ())
        elif left is not None:
            self.say(left, Fate.LEFT, ())

    def deliver(self) -> None:
        """What was not taken yet. It goes where the cloud can never take it, and nowhere else: a
        token or a CA may be put right, and a release become known.
        """
        try:
            self._channel.report(_JSON.validate_json(self._store.word.read_bytes()))
        except (OSError, NetworkError):
            return  # there is none, or another time
        except PeerError as error:
            if not (isinstance(error, CloudRefused) and error.for_good):
                return  # another time
        except ValidationError:
            pass  # the disk has spoilt it
        with self._store.failing():
            self._store.word.unlink(missing_ok=True)


def keep_word(
    store: DraftStore, line: str, release: int, fate: Fate, pairs: tuple[Compared, ...]
) -> None:
    """For the next time that a channel is open, whole or not at all. Raises StoreFailed."""
    word = Word(device=store.device().hex(), line=line, release=release, fate=fate, pairs=pairs)
    partial = store.word.with_suffix(".partial")
    with store.failing():
        partial.write_bytes(_JSON.dump_json(word))
        os.replace(partial, store.word)


_JSON: Final = TypeAdapter(Word)
