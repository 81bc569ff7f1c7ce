"""From an offer to files in the store: the smallest form that this device can use, piece by piece.

What a device that died had fetched is not fetched again. Memory is a chunk or two, whatever the
size. It does not ask whether the draft is any good.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from outrider_edge.errors import BadRelease, NoRoom, NotOffered, StoreFailed
from outrider_edge.releases.catalogue import Offer, Part
from outrider_edge.releases.chunks import complete, missing
from outrider_edge.releases.delta import apply_delta
from outrider_edge.releases.pointer import Pointer, under
from outrider_edge.releases.source import Source
from outrider_edge.releases.store import DraftStore
from outrider_protos.release import FormKind

_SLACK_BYTES: Final = 1 << 20  # for the pointer, metadata and what a file system adds

Told = Callable[[int, int], None]  # bytes that are there, bytes of the file


def names_of(offer: Offer) -> frozenset[str]:
    """What a device may know the release as, depending on the form it came in."""
    laid = {
        under(part.base_sha256, part.sha256)
        for part in offer.smaller
        if part.kind is FormKind.ADAPTER and part.base_sha256 is not None
    }
    return frozenset({offer.full.sha256} | laid)


def files_of_offers(offers: Iterable[Offer]) -> frozenset[str]:
    """Everything that may be on its way."""
    return frozenset(part.sha256 for offer in offers for part in (offer.full, *offer.smaller))


class Installer:
    """Raises StoreFailed, BadRelease, and what the source raises; what has come then stays."""

    def __init__(self, source: Source, store: DraftStore, told: Told) -> None:
        self._source, self._store, self._told = source, store, told
        self.unused: list[str] = []  # why smaller forms were not, for people

    def install(self, offer: Offer, pointer: Pointer) -> str:
        """The name under which the release is in the store now; the full file comes last."""
        usable = [part for part in offer.smaller if part.base_sha256 in pointer.kept_files]
        for part in sorted(usable, key=lambda part: part.size_bytes):
            if part.size_bytes >= offer.full.size_bytes:
                break
            if part.base_sha256 is None or not self._store.whole(part.base_sha256):
                continue  # damaged: what is made of it, or lies over it, would be to blame
            try:
                return self._from(part, offer)
            except (BadRelease, NotOffered, NoRoom) as error:  # a delta needs room for two files
                self.unused.append(f"its {part.kind.value} was not used: {error}")
                self._store.incoming(part.sha256).unlink(missing_ok=True)
                self._made(offer).unlink(missing_ok=True)
        return self._from(offer.full, offer)

    def _from(self, part: Part, offer: Offer) -> str:
        wanted, base = offer.full.sha256, part.base_sha256
        if base is None:
            self._add(self._fetched(part, 0), part.sha256)
            return wanted
        if part.kind is FormKind.ADAPTER:
            self._add(self._fetched(part, 0), part.sha256)
            return under(base, part.sha256)
        if not self._store.holds(wanted):
            delta = self._fetched(part, offer.full.size_bytes)
            result = self._made(offer)
            with self._store.failing():
                apply_delta(self._store.path(base), delta, result)
            self._add(result, wanted)
            with self._store.failing():
                delta.unlink()
        return wanted

    def _made(self, offer: Offer) -> Path:
        """Where a delta writes the full file."""
        return self._store.incoming(offer.full.sha256).with_suffix(".made")

    def _fetched(self, part: Part, more_bytes: int) -> Path:
        """The part on this disk, of which `more_bytes` will be made."""
        if self._store.holds(part.sha256):
            return self._store.path(part.sha256)
        path = self._store.incoming(part.sha256)
        there = 0

        def done(count: int) -> None:
            nonlocal there
            there += count
            self._told(there, part.size_bytes)

        def fetch(first: int, count: int) -> Iterator[bytes]:
            return self._source.read(part.path, first, count)

        try:
            lacking = sum(part.plan.place(number)[1] for number in missing(path, part.plan))
            self._store.check_room(lacking + more_bytes + _SLACK_BYTES)
            complete(path, part.plan, fetch, done)
        except OSError as error:
            raise StoreFailed(f"the disk: {error.strerror or error}") from error
        return path

    def _add(self, file: Path, sha256: str) -> None:
        if file != self._store.path(sha256):
            self._store.add(file, sha256)
