"""How much of something may go on at once, in all and for one owner. It knows not what goes on."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from outrider_cloud.errors import BusyError

MOST_FETCHES: Final = 256
MOST_WATCHERS: Final = 4096
RETRY_AFTER_MS: Final = 2_000


class Places:
    """No owner takes more than `most_of_owner`, so that one who never ends leaves room."""

    def __init__(self, most: int, most_of_owner: int) -> None:
        self._most = most
        self._most_of_owner = most_of_owner
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, owner: str) -> Iterator[None]:
        """A place, for as long as it takes. Raises BusyError where there is none."""
        if self._taken.total() >= self._most or self._taken[owner] >= self._most_of_owner:
            raise BusyError(RETRY_AFTER_MS)
        self._taken[owner] += 1
        try:
            yield
        finally:
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]
