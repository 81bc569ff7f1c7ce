"""Who holds which pages of the KV pool.

Pages of one session are neighbours whenever a wide enough gap exists, so that its KV can be read as
one slice; otherwise they are scattered and have to be gathered. This module knows page numbers
only: no tensors, no tokens' contents.
"""

from dataclasses import dataclass, field

from outrider_cloud.errors import EngineError


@dataclass(slots=True)
class Lease:
    """The pages of one session in the order of their tokens."""

    pages: list[int] = field(default_factory=list)
    contiguous: bool = True


@dataclass(frozen=True, slots=True)
class Moved:
    """A lease went elsewhere to stay in one piece; its content must follow, page by page."""

    source: tuple[int, ...]
    target: tuple[int, ...]


class Pages:
    """Hands out `count` pages of `page_tokens` tokens each."""

    def __init__(self, count: int, page_tokens: int) -> None:
        self.count = count
        self.page_tokens = page_tokens
        self.free = count
        self._used = bytearray(count)
        self._leases: dict[int, Lease] = {}

    def lease(self, session: int) -> Lease:
        """What the session holds; the caller must not change it. KeyError if it holds nothing."""
        return self._leases[session]

    def resize(self, session: int, tokens: int) -> Moved | None:
        """Let the session hold exactly the pages that `tokens` tokens need.

        The pages that stay keep their content unless `Moved` says that it must be copied, before
        anything else is leased. Raises EngineError, with nothing changed, when too few are free.
        """
        wanted = -(-tokens // self.page_tokens)
        lease = self._leases.get(session) or Lease()
        if wanted - len(lease.pages) > self.free:
            raise EngineError(f"session {session}: the KV pool has no {wanted} pages for it")
        self._leases[session] = lease
        self._shrink(lease, wanted)
        return self._grow(lease, wanted)

    def release(self, session: int) -> None:
        """Free all pages of the session; an unknown session is fine."""
        if (lease := self._leases.pop(session, None)) is not None:
            self._shrink(lease, 0)

    def _shrink(self, lease: Lease, wanted: int) -> None:
        for page in lease.pages[wanted:]:
            self._used[page] = 0
            self.free += 1
        del lease.pages[wanted:]
        if not lease.pages:
            lease.contiguous = True

    def _grow(self, lease: Lease, wanted: int) -> Moved | None:
        filled = len(lease.pages)
        while lease.contiguous and lease.pages and len(lease.pages) < wanted:
            page = lease.pages[-1] + 1
            if page == self.count or self._used[page]:
                break
            self._take(lease, page)
        if len(lease.pages) >= wanted:
            return None
        if (start := self._gap(wanted)) is not None:
            return self._relocate(lease, filled, start, wanted)
        while len(lease.pages) < wanted:  # `resize` has seen that enough are free
            self._take(lease, self._used.index(0))
        lease.contiguous = False
        return None

    def _take(self, lease: Lease, page: int) -> None:
        self._used[page] = 1
        self.free -= 1
        lease.pages.append(page)

    def _relocate(self, lease: Lease, filled: int, start: int, wanted: int) -> Moved | None:
        source = tuple(lease.pages)
        lease.pages = []
        for page in range(start, start + wanted):
            self._take(lease, page)
        for page in source:
            self._used[page] = 0
            self.free += 1
        lease.contiguous = True
        return Moved(source[:filled], tuple(lease.pages[:filled])) if filled else None

    def _gap(self, wanted: int) -> int | None:
        """Where `wanted` free neighbours start: in the middle of the widest gap.

        The middle leaves the session before the gap and the new one equal room to grow.
        """
        widest = max(self._used.split(b"\x01"), key=len)
        if len(widest) < wanted:
            return None
        start = self._used.find(bytes(widest))
        return start if start == 0 else start + (len(widest) - wanted) // 2
