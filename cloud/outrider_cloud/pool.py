"""Which sessions have KV in the engine, and how many pages that is at most.

It keeps the account only: the engine hands out the pages, and the scheduler says who may be put out
for whom. It knows no logs beyond their length.
"""

from collections.abc import Iterable

from outrider_cloud.engine import EngineLimits
from outrider_cloud.session import Session


class KvPool:
    """The engine's pages, by session. Never more than there are."""

    def __init__(self, limits: EngineLimits) -> None:
        self.tokens = limits.pages * limits.page_tokens
        self.evictions = 0
        self._page_tokens = limits.page_tokens
        self._free = limits.pages
        self._pages: dict[Session, int] = {}  # least recently fed first
        self._released: list[int] = []

    def __contains__(self, session: Session) -> bool:
        return session in self._pages

    def holders(self) -> list[Session]:
        """Who has KV, the least recently fed first."""
        return list(self._pages)

    def claim(self, session: Session, tokens: int, victims: Iterable[Session]) -> bool:
        """Have pages for `tokens` tokens, if need be by putting out victims, the first ones first.

        Without enough of them nothing changes, and the answer is False.
        """
        held = self._pages.get(session, 0)
        short = self._needed(tokens) - held - self._free
        chosen = []
        if short > 0:
            for victim in victims:
                chosen.append(victim)
                short -= self._pages[victim]
                if short <= 0:
                    break
            else:
                return False
        for victim in chosen:
            self.drop(victim)
        self.evictions += len(chosen)
        # The engine may hold more than is needed until it feeds the session again.
        self._set(session, max(held, self._needed(tokens)))
        return True

    def settle(self, session: Session) -> None:
        """The session was fed: it holds what its KV needs, and is the last to be put out."""
        self._set(session, self._needed(session.kv))

    def drop(self, session: Session) -> None:
        """Forget the session's KV; one that has none is fine."""
        session.kv = 0
        if session in self._pages:
            self._free += self._pages.pop(session)
            self._released.append(session.handle)

    def take_released(self) -> tuple[int, ...]:
        """Handles whose KV the engine shall forget, each told once."""
        released = tuple(self._released)
        self._released.clear()
        return released

    def _needed(self, tokens: int) -> int:
        return -(-tokens // self._page_tokens)

    def _set(self, session: Session, pages: int) -> None:
        self._free += self._pages.pop(session, 0) - pages
        self._pages[session] = pages
