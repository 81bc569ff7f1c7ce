"""The sessions the cloud remembers, by owner and name. It knows nothing of what they hold.

Bounded: a new session pushes out the least recently used one that no stream is on.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator

from outrider_cloud.session import Session


class SessionTable:
    """No owner can reach another's session: the owner is part of the key."""

    def __init__(self, most: int, most_per_owner: int) -> None:
        self._most = most
        self._most_per_owner = most_per_owner
        self._sessions: OrderedDict[tuple[str, bytes], Session] = OrderedDict()  # by last use
        self._owned: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def find(self, owner: str, name: bytes) -> Session | None:
        """The session, now the most recently used; None if it is not known (any more)."""
        session = self._sessions.get((owner, name))
        if session is not None:
            self.touch(session)
        return session

    def latest(self, owner: str) -> Session | None:
        """The owner's most recently used session."""
        owned = (session for session in reversed(self._sessions.values()))
        return next((session for session in owned if session.owner == owner), None)

    def touch(self, session: Session) -> None:
        """It was used just now."""
        self._sessions.move_to_end((session.owner, session.name))

    def replaceable(self, owner: str) -> Session | None:
        """The session that must be forgotten before another of `owner` is added.

        None if there is room. Raises LookupError if there is none and all are in use.
        """
        if self._owned[owner] >= self._most_per_owner:
            candidates = [session for session in self if session.owner == owner]
        elif len(self._sessions) >= self._most:
            candidates = list(self)
        else:
            return None
        for session in candidates:
            if session.stream is None:
                return session
        raise LookupError("all sessions are in use")

    def add(self, session: Session) -> None:
        """There must be room, see `replaceable`."""
        self._sessions[session.owner, session.name] = session
        self._owned[session.owner] += 1

    def remove(self, session: Session) -> None:
        del self._sessions[session.owner, session.name]
        self._owned[session.owner] -= 1
        if not self._owned[session.owner]:
            del self._owned[session.owner]
