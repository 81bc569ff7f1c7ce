"""A real server in this process that serves releases, and what a device says to it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import pytest

from outrider_cloud.config import ReleasesConfig
from outrider_cloud.port import bind
from outrider_cloud.releases.account import Account
from outrider_cloud.releases.channel import DraftChannelService
from outrider_cloud.releases.fleet import Fleet
from outrider_cloud.releases.folder import RepositoryFolder
from outrider_cloud.server import Server
from outrider_protos.v1 import drafts_pb2 as pb
from outrider_protos.v1 import drafts_pb2_grpc
from tests.simulators.repository import SimulatedRepository

_Result = TypeVar("_Result")

ABSENT = grpc.StatusCode.NOT_FOUND
MALFORMED = grpc.StatusCode.INVALID_ARGUMENT
BEYOND = grpc.StatusCode.OUT_OF_RANGE
HALTED = grpc.StatusCode.FAILED_PRECONDITION
NARROW = (("grpc.http2.bdp_probe", 0),)  # the network holds 64 KiB for a reader, never more
WAIT_S = 20.0  # for what must come; far more than it takes


@dataclass(frozen=True, slots=True)
class Channel:
    """A server that answers, and a stub of it."""

    server: Server
    fleet: Fleet
    stub: "drafts_pb2_grpc.DraftChannelAsyncStub"

    async def fetch(
        self, path: str, first: int = 0, count: int | None = None, token: str | None = None
    ) -> bytes:
        """Raises grpc.aio.AioRpcError."""
        request = pb.FetchRequest(path=path, first=first, count=count)
        call = self.stub.Fetch(request, timeout=WAIT_S, metadata=shown(token))
        return b"".join([piece.data async for piece in call])

    def watch(self, known: int = 0) -> "Watch":
        return Watch(self.stub.Watch(pb.WatchRequest(known=str(known)), timeout=WAIT_S))

    async def report(self, report: pb.DraftReport, token: str | None = None) -> None:
        await self.stub.Report(report, timeout=WAIT_S, metadata=shown(token))

    async def show(self, token: str | None = None) -> pb.Fleet:
        return await self.stub.ShowFleet(pb.FleetRequest(), timeout=WAIT_S, metadata=shown(token))


class Watch:
    """One Watch call, word by word."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[pb.WatchRequest, pb.News]) -> None:
        self._call = call

    async def version(self) -> int:
        """Of the next news. Raises grpc.aio.AioRpcError if the call has failed."""
        news = await self._call.read()
        assert isinstance(news, pb.News), "the call has ended"
        return int(news.version)


def shown(token: str | None) -> Sequence[tuple[str, str]]:
    return () if token is None else (("authorization", f"Bearer {token}"),)


def report(
    state: "pb.DraftState.ValueType", release: int = 2, device: bytes | None = None, **terms: object
) -> pb.DraftReport:
    """Of a device that nobody has heard of, unless it is given."""
    given = {"line": "main", "device": device or os.urandom(16), **terms}
    return pb.DraftReport(state=state, release=release, **given)  # type: ignore[arg-type]


@asynccontextmanager
async def running_channel(
    folder: Path,
    *,
    token_file: Path | None = None,
    account: Account | None = None,
    fleet: Fleet | None = None,
) -> AsyncIterator[Channel]:
    config = ReleasesConfig(releases=folder, listen="127.0.0.1:0", token_file=token_file)
    port = await bind(config)
    fleet = fleet or Fleet(several_owners=port.owners > 1)
    for change in account.changes() if account is not None else ():
        fleet.apply(change)
    service = DraftChannelService(RepositoryFolder(folder), fleet, account, port.owners)
    server = Server(port, [service])
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"localhost:{server.address.port}", NARROW) as wire:
            yield Channel(server, fleet, drafts_pb2_grpc.DraftChannelStub(wire))
    finally:
        await server.stop()


def run(
    repository: SimulatedRepository,
    scene: Callable[[Channel], Awaitable[_Result]],
    *,
    token_file: Path | None = None,
    account: Account | None = None,
) -> _Result:
    """Play a scene with a channel of its own."""

    async def play() -> _Result:
        async with running_channel(
            repository.folder, token_file=token_file, account=account
        ) as channel:
            return await scene(channel)

    return asyncio.run(play())


async def refusal(call: Awaitable[object]) -> grpc.StatusCode:
    """How a call fails; its text names no place of the cloud."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert "repository" not in str(refused.value.details())
    return refused.value.code()
