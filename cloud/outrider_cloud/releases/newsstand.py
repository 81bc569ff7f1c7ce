"""Who wants to know when a repository changes, and what it offers now.

One look at the disk serves all who wait. It knows no calls, and does not look by itself.
"""

import asyncio
import logging

from outrider_cloud.errors import CloudError, DrainingError
from outrider_cloud.log import place
from outrider_cloud.releases.catalogue import Catalogue, read_catalogue, read_version
from outrider_cloud.releases.folder import RepositoryFolder
from outrider_cloud.releases.places import RETRY_AFTER_MS
from outrider_protos.errors import ProtocolError

_LOG = logging.getLogger(__name__)

_UNREADABLE = (CloudError, ProtocolError, OSError, ValueError)
_Stamp = tuple[int, int, int] | None


class Newsstand:
    """Use it on one event loop. Metadata that cannot be read leave what was known."""

    def __init__(self, folder: RepositoryFolder) -> None:
        self._folder = folder
        self._looking = asyncio.Lock()
        self._changed = asyncio.Event()
        self._closed = False
        self._read: _Stamp = None
        self._blamed: _Stamp = None  # that the log has heard of
        self.version = "0"  # of the timestamp, in decimal; 0: there is none
        self.catalogue = Catalogue()

    async def look(self) -> None:
        """Take in what has changed since."""
        async with self._looking:
            stamp = await asyncio.to_thread(self._folder.stamp)
            if stamp is None or stamp == self._read:
                return
            try:
                self._tell(str(await asyncio.to_thread(read_version, self._folder)))
                self.catalogue = await asyncio.to_thread(read_catalogue, self._folder)
            except _UNREADABLE as error:
                self._blame(stamp, error)
            else:
                self._read = stamp

    async def news(self, known: str) -> str:
        """The version, as soon as it is another one. Raises DrainingError once closed."""
        while not self._closed and self.version in ("0", known):
            await self._changed.wait()
        if self._closed:
            raise DrainingError(RETRY_AFTER_MS)
        return self.version

    def close(self) -> None:
        """Send away all who wait."""
        self._closed = True
        self._wake()

    def _tell(self, version: str) -> None:
        if version != self.version:
            self.version = version
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _blame(self, stamp: _Stamp, error: Exception) -> None:
        """Once for each: it is tried again with the next look, as files may still be on the way."""
        if stamp != self._blamed:
            kind = type(error).__name__
            _LOG.warning("event=repository_unreadable error=%s at=%s", kind, place(error))
        self._blamed = stamp
