"""A real server in this process over a simulated target, and a device reduced to its words."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import grpc

from outrider_cloud.config import ServeConfig
from outrider_cloud.engine import Engine, Verdict, Work
from outrider_cloud.port import bind
from outrider_cloud.server import Server
from outrider_cloud.service import VerifierService
from outrider_cloud.verifier import Verifier, VerifierSettings
from outrider_cloud.worker import Worker
from outrider_protos.codec import decode_cloud, encode_device
from outrider_protos.loghash import LogHash
from outrider_protos.v1 import outrider_pb2, outrider_pb2_grpc
from outrider_protos.words import Append, CloudWord, Commit, DeviceWord, Open, Opened
from tests.simulators.target import SimulatedTarget

_Word = TypeVar("_Word", bound=CloudWord)

PROMPT = (3, 1, 4)
LOCAL = ServeConfig(target="simulated", listen="127.0.0.1:0", drain_grace_s=5)
DESCRIPTION = outrider_pb2.Description(target_id="simulated", end_ids=[0])
WAIT_S = 20.0  # for what must come; far more than it takes


class HeldTarget(SimulatedTarget):
    """Its forwards wait until `go` is set; `busy` says that one does."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.busy = threading.Event()

    def forward(self, batch: Sequence[Work]) -> list[Verdict | None]:
        self.busy.set()
        assert self.go.wait(WAIT_S), "nobody let the forward go"
        return super().forward(batch)


@dataclass(frozen=True, slots=True)
class Cloud:
    """A server that answers, and a channel to it."""

    server: Server
    channel: grpc.aio.Channel

    def stream(self, *, token: str | None = None, timeout_s: float = WAIT_S) -> "Stream":
        stub = outrider_pb2_grpc.VerifierStub(self.channel)
        metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        return Stream(stub.Decode(timeout=timeout_s, metadata=metadata))


@asynccontextmanager
async def running_cloud(
    engine: Engine | None = None,
    *,
    config: ServeConfig = LOCAL,
    settings: VerifierSettings = VerifierSettings(),
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, int]] = (),
) -> AsyncIterator[Cloud]:
    engine = engine or SimulatedTarget()
    port = await bind(config)
    worker = Worker(Verifier(engine.limits, settings), engine, asyncio.get_running_loop())
    server = Server(port, [VerifierService(worker, DESCRIPTION)])
    await server.start()
    address = f"localhost:{server.address.port}"
    channel = (
        grpc.aio.insecure_channel(address, options)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options)
    )
    try:
        async with channel:
            yield Cloud(server, channel)
    finally:
        await server.stop()


class Stream:
    """One Decode call, word by word."""

    def __init__(
        self, call: grpc.aio.StreamStreamCall[outrider_pb2.DeviceMessage, outrider_pb2.CloudMessage]
    ) -> None:
        self.call = call

    async def say(self, *words: DeviceWord) -> None:
        for word in words:
            await self.call.write(encode_device(word))

    async def hear(self) -> CloudWord:
        """Raises grpc.aio.AioRpcError if the call has failed."""
        message = await self.call.read()
        assert isinstance(message, outrider_pb2.CloudMessage), "the call has ended"
        return decode_cloud(message)

    async def hear_next(self, kind: type[_Word]) -> _Word:
        """The next word of a kind; commits before it are skipped, and nothing else."""
        while not isinstance(word := await self.hear(), kind):
            assert isinstance(word, Commit), word
        return word

    async def begin(self, log: Sequence[int] = PROMPT, **terms: Any) -> Opened:
        """Open a session and append what the cloud lacks of its log."""
        await self.say(opening(log, **terms))
        opened = await self.hear_next(Opened)
        if opened.have < len(log):
            await self.say(Append(opened.have, tuple(log[opened.have :])))
        return opened

    async def failure(self) -> tuple[grpc.StatusCode, str]:
        """How the call ended. What is left to read comes first, as a status comes last."""
        with suppress(grpc.aio.AioRpcError):
            while isinstance(await self.call.read(), outrider_pb2.CloudMessage):
                pass
        return await self.call.code(), await self.call.details()


def opening(log: Sequence[int] = PROMPT, **terms: Any) -> Open:
    word = Open(
        session=bytes(16),
        keep=len(log),
        length=len(log),
        digest=LogHash(log).digest(),
        max_length=60,
    )
    return replace(word, **terms)
