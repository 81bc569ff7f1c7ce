"""From an address to an open channel: the cloud, the web, or a folder.

It knows which way leads where, not what is fetched.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.errors import BadSettings
from outrider_edge.ledger import Meter
from outrider_edge.releases.cloud_channel import CloudChannel
from outrider_edge.releases.report import Word
from outrider_edge.releases.settings import CLOUD, Following
from outrider_edge.releases.source import FolderSource, Source
from outrider_edge.web import Web, WebSource

_FILE: Final = "file://"  # before a folder, as repositories may be called where they are made


class Quiet:
    """A source that nobody listens behind."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
        """See `Source`."""
        return self._source.read(path, first, count)

    def report(self, word: Word) -> None:
        """Nobody is told."""

    def news(self, known: int) -> Iterator[int]:
        """There are none to be heard."""
        return iter(())


class Mute(Quiet):
    """A cloud that is told nothing, but heard."""

    def __init__(self, cloud: CloudChannel) -> None:
        super().__init__(cloud)
        self._cloud = cloud

    def news(self, known: int) -> Iterator[int]:
        """See `CloudChannel`."""
        return self._cloud.news(known)


@contextmanager
def opened(
    following: Following, cloud: Address | None, meter: Meter, *, local_only: bool
) -> Iterator[CloudChannel | Quiet]:
    """Closed at the end. Raises LocalOnly for all but folders, BadSettings."""
    where = following.channel
    if where == CLOUD:
        if cloud is None:
            raise BadSettings("the channel is the cloud's, but no cloud is named")
        with closing(Network()) as network:
            client = CloudClient(network, cloud, meter, local_only=local_only)
            with closing(client):
                channel = CloudChannel(client)
                yield channel if following.report else Mute(channel)
    elif "://" in where and not where.startswith(_FILE):
        with closing(Web(meter, local_only=local_only)) as web:
            yield Quiet(WebSource(web, where))
    else:
        yield Quiet(FolderSource(Path(os.path.expanduser(where.removeprefix(_FILE)))))
