"""The link emulator over real sockets on loopback."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.link import Link, LinkShape, precise_loop

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def on_precise_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work()

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(bounded())


@asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    """Its port; leaving waits for its connections to end."""
    handlers: set[asyncio.Task[None]] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.get_running_loop().create_task(echo(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*handlers)


@asynccontextmanager
async def linked_echo(shape: LinkShape) -> AsyncIterator[tuple[Link, Stream]]:
    """A connection to an echo server over a link."""
    async with echo_server() as port:
        link = Link(port, shape)
        stream = await asyncio.open_connection("127.0.0.1", await link.start())
        try:
            yield link, stream
        finally:
            stream[1].close()
            await stream[1].wait_closed()
            await link.stop()


@pytest.mark.parametrize("rtt_ms", [0, 50])
def test_a_round_trip_takes_what_is_asked_and_not_twice_that(rtt_ms: int) -> None:
    trips_ms: list[float] = []

    async def work() -> None:
        async with linked_echo(LinkShape(delay_s=rtt_ms / 2000)) as (_, (reader, writer)):
            for _ in range(10):
                begun = time.perf_counter()
                writer.write(b"x" * 50)
                await reader.readexactly(50)
                trips_ms.append(1000 * (time.perf_counter() - begun))

    on_precise_loop(work)
    assert min(trips_ms) >= rtt_ms
    assert min(trips_ms) < rtt_ms + 25  # the quickest: others may share this machine's cores


def test_everything_arrives_in_order_and_is_counted_up_to_the_end() -> None:
    sent = bytes(range(256)) * 2000

    async def work() -> None:
        async with linked_echo(LinkShape(delay_s=0.005)) as (link, (reader, writer)):
            writer.write(sent)
            writer.write_eof()
            assert await reader.read(-1) == sent
        assert (link.traffic.up, link.traffic.down) == (len(sent), len(sent))

    on_precise_loop(work)


def test_bandwidth_bounds_how_fast_bytes_pass() -> None:
    size = 200_000

    async def work() -> None:
        shape = LinkShape(delay_s=0.0, bytes_per_s=1_000_000)
        async with linked_echo(shape) as (_, (reader, writer)):
            begun = time.perf_counter()
            writer.write(b"x" * size)
            await reader.readexactly(size)
            assert time.perf_counter() - begun >= size / 1_000_000

    on_precise_loop(work)


def test_delays_overlap_for_what_is_under_way_at_once() -> None:
    async def work() -> None:
        async with linked_echo(LinkShape(delay_s=0.05)) as (_, (reader, writer)):
            begun = time.perf_counter()
            for _ in range(10):
                writer.write(b"x")
                await asyncio.sleep(0.005)
            await reader.readexactly(10)
            assert time.perf_counter() - begun < 10 * 0.1

    on_precise_loop(work)
