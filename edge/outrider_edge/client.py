"""The way out of the device: the only module that opens a connection, and the importer of grpc.

One thread runs an event loop for all lines. Every serialised byte passes the meter here, local-only
is enforced here, and every gRPC failure becomes one of our errors here, once.
"""

import asyncio
import concurrent.futures
import re
import threading
from collections import deque
from collections.abc import AsyncIterable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from outrider_edge.errors import (
    BadSettings,
    CloudRefused,
    CloudUnavailable,
    EdgeError,
    LocalOnly,
    NotOffered,
    ProtocolError,
)
from outrider_edge.ledger import Meter
from outrider_protos.codec import decode_cloud, encode_device
from outrider_protos.errors import RETRY_AFTER_KEY, MalformedMessage
from outrider_protos.limits import MAX_MESSAGE_BYTES
from outrider_protos.v1 import outrider_pb2 as pb
from outrider_protos.words import CloudWord, DeviceWord

_DECODE = "/outrider.v1.Verifier/Decode"
_DESCRIBE = "/outrider.v1.Verifier/Describe"
_REPORT_LOAD = "/outrider.v1.Verifier/ReportLoad"
_TRANSIENT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A way that falls silent, with no end to be read, is noticed within 8 s; only during an answer.
    ("grpc.keepalive_time_ms", 4_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.http2.ping_timeout_ms", 4_000),  # of the pings gRPC sends to measure bandwidth
    ("grpc.http2.max_pings_without_data", 0),  # none is too many: a verdict may take long
    # The generation decides when to try again; gRPC must not sit out a longer pause of its own.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
_BAD_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")  # the same next time
_WHOLE_MS = re.compile("[0-9]{1,9}")
_T = TypeVar("_T")
_Answer = TypeVar("_Answer", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the cloud is and how to be let in. Without `ca` only loopback may be spoken to."""

    target: str  # host:port
    ca: Path | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        if self.ca is None and not self.loopback:
            raise BadSettings(f"{self.target} is not this machine: a connection there needs a CA")
        if self.token is not None and self.ca is None and not self.loopback:
            raise BadSettings("a token is only sent over TLS")

    @property
    def loopback(self) -> bool:
        host = self.target.rsplit(":", 1)[0].strip("[]")
        return host in ("localhost", "::1") or host.startswith("127.")


class Network:
    """The event loop thread. One per device; `close` ends all its lines."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="outrider-network", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine there and wait for its result, from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def close(self) -> None:
        """End every line that is still up, then the thread."""
        self.wait(_end_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class CloudClient:
    """A channel to one cloud, and the dialers of its sessions."""

    def __init__(
        self, network: Network, address: Address, meter: Meter, *, local_only: bool
    ) -> None:
        if local_only:
            raise LocalOnly("local-only is set: no connection may be opened")
        self._network = network
        self._address = address
        self._meter = meter
        self._channel = network.wait(self._open())

    async def _open(self) -> grpc.aio.Channel:
        if self._address.ca is None:
            return grpc.aio.insecure_channel(self._address.target, _OPTIONS)
        try:
            roots = self._address.ca.read_bytes()
        except OSError as error:
            raise BadSettings(f"the CA file {self._address.ca.name} cannot be read") from error
        if b"-----BEGIN CERTIFICATE-----" not in roots:
            raise BadSettings(f"the CA file {self._address.ca.name} holds no PEM certificate")
        credentials = grpc.ssl_channel_credentials(roots)
        return grpc.aio.secure_channel(self._address.target, credentials, _OPTIONS)

    def describe(self, timeout_s: float) -> pb.Description:
        """Ask the cloud what its target is. Raises CloudUnavailable or CloudRefused."""
        return self.ask(_DESCRIBE, pb.DescribeRequest(), pb.Description, timeout_s)

    def load(self, timeout_s: float) -> pb.LoadReport:
        """Ask the cloud how busy it was lately. Raises CloudUnavailable or CloudRefused."""
        return self.ask(_REPORT_LOAD, pb.LoadRequest(), pb.LoadReport, timeout_s)

    async def _ask(
        self, method: str, request: Message, kind: type[_Answer], timeout_s: float
    ) -> _Answer:
        call = self._channel.unary_unary(
            method,
            request_serializer=self._count_out,
            response_deserializer=lambda data: self._count_in(data, kind),
        )
        try:
            answer: _Answer = await call(
                request, timeout=timeout_s, metadata=_metadata(self._address)
            )
        except grpc.aio.AioRpcError as error:
            raise _converted(error, self._address.target) from error
        return answer

    def ask(self, method: str, request: Message, kind: type[_Answer], timeout_s: float) -> _Answer:
        """Any other unary call. Raises CloudUnavailable, CloudRefused, NotOffered."""
        return self._network.wait(self._ask(method, request, kind, timeout_s))

    def read(
        self, method: str, request: Message, kind: type[_Answer], timeout_s: float | None
    ) -> Iterator[_Answer]:
        """What a call answers, message after message. Raises as `ask` does.

        `timeout_s` is for the whole of it; None: for as long as the reader wants.
        """
        call = self._network.wait(self._begin(method, request, kind, timeout_s))
        try:
            while (answer := self._network.wait(call.read())) is not grpc.aio.EOF:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise _converted(error, self._address.target) from error
        except concurrent.futures.CancelledError as error:
            raise CloudUnavailable("the connection was closed") from error
        finally:
            with suppress(RuntimeError):  # the loop has ended, and the call with it
                self._network.loop.call_soon_threadsafe(call.cancel)

    async def _begin(
        self, method: str, request: Message, kind: type[_Answer], timeout_s: float | None
    ) -> Any:  # a call, whose type in the stubs is private
        reading = self._channel.unary_stream(
            method,
            request_serializer=self._count_out,
            response_deserializer=lambda data: self._count_in(data, kind),
        )
        return reading(request, timeout=timeout_s, metadata=_metadata(self._address))

    def dialer(self, meter: Meter) -> "GrpcDialer":
        """Lays lines whose bytes are counted by `meter`, a child of the client's own."""
        return GrpcDialer(self._network, self._channel, self._address, meter)

    def close(self) -> None:
        self._network.wait(self._channel.close(grace=None))

    def _count_out(self, message: Message) -> bytes:
        data = message.SerializeToString()
        self._meter.sent(len(data))
        return data

    def _count_in(self, data: bytes, kind: type[_Answer]) -> _Answer:
        self._meter.received(len(data))
        return kind.FromString(data)


class GrpcDialer:
    """A `line.Dialer` for one session."""

    def __init__(
        self, network: Network, channel: grpc.aio.Channel, address: Address, meter: Meter
    ) -> None:
        self._network = network
        self._address = address
        self._meter = meter
        self._decode = channel.stream_stream(
            _DECODE, request_serializer=self._serialise, response_deserializer=self._deserialise
        )

    def dial(self, wake: Callable[[], None]) -> "GrpcLine":
        line = GrpcLine(self._network, self._address.target, wake)
        self._network.loop.call_soon_threadsafe(line.start, self._decode, _metadata(self._address))
        return line

    def _serialise(self, word: DeviceWord) -> bytes:
        data = encode_device(word).SerializeToString()
        self._meter.sent(len(data))
        return data

    def _deserialise(self, data: bytes) -> CloudWord | MalformedMessage:
        self._meter.received(len(data))
        try:
            return decode_cloud(pb.CloudMessage.FromString(data))
        except MalformedMessage as error:
            return error  # gRPC would hide an exception raised here


class GrpcLine:
    """One stream. The draft's thread calls send and receive, the network's thread does the rest."""

    def __init__(self, network: Network, target: str, wake: Callable[[], None]) -> None:
        self._network = network
        self._target = target
        self._wake = wake
        self._arrived: deque[CloudWord] = deque()
        self._lost: EdgeError | None = None
        self._outgoing: asyncio.Queue[DeviceWord | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def start(self, decode: Any, metadata: Any) -> None:
        self._task = self._network.loop.create_task(self._run(decode, metadata))

    def send(self, words: Sequence[DeviceWord]) -> None:
        self._network.loop.call_soon_threadsafe(self._put, tuple(words))

    def _put(self, words: Sequence[DeviceWord]) -> None:
        for word in words:
            self._outgoing.put_nowait(word)

    def receive(self) -> list[CloudWord]:
        if not self._arrived:
            if self._lost is not None and not self._arrived:
                raise self._lost
            return []
        words = []
        while self._arrived:
            words.append(self._arrived.popleft())
        return words

    def close(self) -> None:
        self._network.loop.call_soon_threadsafe(self._hang_up)

    def _hang_up(self) -> None:
        self._outgoing.put_nowait(None)
        if self._task is not None:
            self._network.loop.call_later(1.0, self._task.cancel)

    async def _run(self, decode: Any, metadata: Any) -> None:
        call = decode(self._requests(), metadata=metadata)
        try:
            async for word in call:
                self._take(word)
            self._lose(CloudUnavailable("the cloud ended the stream"))
        except grpc.aio.AioRpcError as error:
            self._lose(_converted(error, self._target))
        except asyncio.CancelledError:
            call.cancel()
            raise
        except ProtocolError as error:
            call.cancel()
            self._lose(error)

    async def _requests(self) -> AsyncIterable[DeviceWord]:
        while (word := await self._outgoing.get()) is not None:
            yield word

    def _take(self, word: CloudWord | MalformedMessage) -> None:
        if isinstance(word, MalformedMessage):
            raise ProtocolError(f"the cloud sent a malformed message: {word}")
        self._arrived.append(word)
        self._wake()

    def _lose(self, error: EdgeError) -> None:
        self._lost = error
        self._wake()


def _metadata(address: Address) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {address.token}"),) if address.token is not None else ()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _converted(error: grpc.aio.AioRpcError, target: str) -> EdgeError:
    """Our error for a failed call: try again later, or not at all."""
    code = error.code()
    if any(sign in (error.details() or "") for sign in _BAD_TLS):
        return CloudRefused(f"{target} and this device do not agree on TLS: another CA, or no TLS")
    if code in _TRANSIENT:
        text = f"no cloud at {target} ({code.name.lower()})"
        return CloudUnavailable(text, _retry_after_s(error.trailing_metadata()))
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return CloudRefused(f"the cloud at {target} does not accept the token")
    if code is grpc.StatusCode.NOT_FOUND:
        return NotOffered(f"the cloud at {target} has not what was asked for")
    text = f"the cloud at {target} refuses: {error.details() or code.name.lower()}"
    return CloudRefused(text, for_good=code is grpc.StatusCode.INVALID_ARGUMENT)


def _retry_after_s(metadata: grpc.aio.Metadata | None) -> float | None:
    """When the cloud asks to be called again, if it says so in a number."""
    for key, value in metadata or ():
        if key == RETRY_AFTER_KEY and isinstance(value, str) and _WHOLE_MS.fullmatch(value):
            return int(value) / 1000
    return None
