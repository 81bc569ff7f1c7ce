"""The channel of releases: files of a repository, news of it, and what becomes of it on devices.

It joins the parts and decides nothing. Files are read on other threads, piece by piece, as fast as
each device takes them.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import grpc

from outrider_cloud.auth import owner_of_call
from outrider_cloud.errors import AbsentError, BeyondEndError, DrainingError, HaltedError
from outrider_cloud.failure import told
from outrider_cloud.log import place
from outrider_cloud.releases.account import Account
from outrider_cloud.releases.fleet import Change, Fleet, Halted
from outrider_cloud.releases.folder import RepositoryFile, RepositoryFolder
from outrider_cloud.releases.newsstand import Newsstand
from outrider_cloud.releases.places import (
    MOST_FETCHES,
    MOST_WATCHERS,
    RETRY_AFTER_MS,
    Places,
)
from outrider_cloud.releases.wire import decode_known, decode_report, encode_fleet
from outrider_protos.errors import MalformedMessage
from outrider_protos.v1 import drafts_pb2 as pb
from outrider_protos.v1 import drafts_pb2_grpc

_LOG = logging.getLogger(__name__)

PIECE_BYTES: Final = 1 << 18
_EVERY_S: Final = 1.0  # the disk is looked at, and what was reported is written
_SHARE_OF_OWNER: Final = 2  # one owner takes half of the places at most

# A release's own files. What stands before the number is the digest of a consistent snapshot.
_FILE_OF_RELEASE: Final = re.compile(r"targets/([^/]+)/(?:[0-9a-f]{64}\.)?([0-9]{1,10})\..+")
_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class DraftChannelService(drafts_pb2_grpc.DraftChannelServicer):
    """`owners` is how many may call; 0: everybody on this machine, who then sees all devices."""

    name: Final = pb.DESCRIPTOR.services_by_name["DraftChannel"].full_name

    def __init__(
        self, folder: RepositoryFolder, fleet: Fleet, account: Account | None, owners: int
    ) -> None:
        self._folder = folder
        self.fleet = fleet
        self._account = account
        self._owners = owners
        self._newsstand = Newsstand(folder)
        self._fetches = Places(MOST_FETCHES, MOST_FETCHES // _SHARE_OF_OWNER)
        self._watches = Places(MOST_WATCHERS, MOST_WATCHERS // _SHARE_OF_OWNER)
        self._draining = False
        self._life: asyncio.Task[None] | None = None

    def register(self, server: grpc.aio.Server) -> None:
        drafts_pb2_grpc.add_DraftChannelServicer_to_server(self, server)

    async def start(self) -> None:
        await self._newsstand.look()
        self._life = asyncio.create_task(self._live())

    async def crash(self) -> None:
        assert self._life is not None, "not started"
        try:
            await asyncio.shield(self._life)
        except Exception as error:  # noqa: BLE001 - nobody else would notice that it died
            kind = type(error).__name__
            _LOG.critical("event=channel_crashed error=%s at=%s", kind, place(error))
        self._newsstand.close()

    async def drain(self, grace_s: float) -> None:
        """At once: a device goes on with what it has of a file, here or elsewhere."""
        self._draining = True
        self._newsstand.close()

    async def stop(self, timeout_s: float) -> None:
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait((self._life,))
        await self._write()

    async def Fetch(self, request: pb.FetchRequest, context: _Context) -> AsyncIterator[pb.Piece]:
        async with told(context):
            with self._fetches.taken(owner_of_call.get()):
                self._check_halted(request.path)
                async with self._opened(request.path) as file:
                    first, end = _range(request, file.size_bytes)
                    for at in range(first, end, PIECE_BYTES):
                        self._check_draining()
                        count = min(PIECE_BYTES, end - at)
                        yield pb.Piece(data=await asyncio.to_thread(file.read, at, count))

    async def Watch(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.News]:
        async with told(context):
            with self._watches.taken(owner_of_call.get()):
                known = decode_known(request)
                while True:
                    known = await self._newsstand.news(known)
                    yield pb.News(version=known)

    async def Report(self, request: pb.DraftReport, context: _Context) -> pb.ReportReceipt:
        async with told(context):
            report = decode_report(request)
            await self._newsstand.look()  # a device may know more than the last look does
            self._check_release(report.line, report.release)
            named = self._newsstand.catalogue.named(report.line)
            changes = self.fleet.take(owner_of_call.get(), report, named)
            _log_halts(changes)
            if self._account is not None:
                self._account.add(changes)
        return pb.ReportReceipt()

    async def ShowFleet(self, request: pb.FleetRequest, context: _Context) -> pb.Fleet:
        async with told(context):
            owner = owner_of_call.get() if self._owners else None
            return encode_fleet(self.fleet.standings(owner), self.fleet.devices(owner))

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            await self._newsstand.look()
            await self._write()

    async def _write(self) -> None:
        if self._account is not None:
            await asyncio.to_thread(self._account.flush)

    @asynccontextmanager
    async def _opened(self, path: str) -> AsyncIterator[RepositoryFile]:
        """A device may leave at any moment; what was opened, or is being opened, gets closed."""
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(None, self._folder.open, path)
        try:
            yield await asyncio.shield(opening)
        finally:
            opening.add_done_callback(_close)

    def _check_release(self, line: str, release: int) -> None:
        """Nobody invents releases; what is offered no more may still be left, or gone back to."""
        offered = (line, release) in self._newsstand.catalogue.releases
        if not offered and not self.fleet.knows(line, release):
            raise AbsentError("report.release is not one that was ever offered here")

    def _check_draining(self) -> None:
        if self._draining:
            raise DrainingError(RETRY_AFTER_MS)

    def _check_halted(self, path: str) -> None:
        """A line's stable release is served whatever happens: there is nothing to go back to."""
        match = _FILE_OF_RELEASE.fullmatch(path)
        if match is None:
            return
        line, release = match[1], int(match[2])
        reason = self.fleet.halted(line, release)
        if reason and not self._newsstand.catalogue.stable(line, release):
            raise HaltedError(line, release, reason)


def _range(request: pb.FetchRequest, size_bytes: int) -> tuple[int, int]:
    """Where to begin and end; what is asked for beyond the end is left out."""
    if request.first > size_bytes:
        raise BeyondEndError("first is after the end of the file")
    if not request.HasField("count"):
        return request.first, size_bytes
    if request.count == 0:
        raise MalformedMessage("count is below 1")
    return request.first, min(size_bytes, request.first + request.count)


def _close(opening: asyncio.Future[RepositoryFile]) -> None:
    """On another thread too, as it may have to wait for a read."""
    if not opening.cancelled() and opening.exception() is None:
        opening.get_loop().run_in_executor(None, opening.result().close)


def _log_halts(changes: list[Change]) -> None:
    for change in changes:
        if isinstance(change, Halted):
            line, release, reason = change.line, change.release, change.reason
            _LOG.warning("event=halted line=%s release=%d reason=%s", line, release, reason)
