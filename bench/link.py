"""A userspace TCP link: forwards a port to another with a delay and a bandwidth limit.

It emulates distance, nothing else: no loss, no jitter, order kept. It knows bytes and time, not
what travels. Runs as a process of its own, so that its work is not the endpoints' work:

    python -m bench.link --to 7421 --rtt-ms 50 --bytes-per-s 12500000
"""

import argparse
import asyncio
import contextlib
import json
import selectors
import signal
from collections import deque
from dataclasses import dataclass

BUFFER_BYTES = 8 << 20  # held per direction of a connection before its sender must wait
_READ_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkShape:
    """What the link does to every byte, alike in both directions."""

    delay_s: float  # one way
    bytes_per_s: float | None = None  # None: unlimited


@dataclass(slots=True)
class Traffic:
    """Bytes forwarded so far: `up` to the target port, `down` back."""

    up: int = 0
    down: int = 0


class _Direction:
    """One direction of one connection: a queue in which every chunk has its time of arrival."""

    def __init__(self, shape: LinkShape) -> None:
        self._shape = shape
        self._due: deque[tuple[float, bytes]] = deque()  # an empty chunk is the end
        self._held_bytes = 0
        self._free_at = 0.0  # when the wire has taken in what was sent before
        self._changed = asyncio.Event()
        self.passed_bytes = 0

    async def fill(self, reader: asyncio.StreamReader) -> None:
        """Take in what the sender writes, at most `BUFFER_BYTES` ahead of the receiver."""
        while True:
            if self._held_bytes >= BUFFER_BYTES:
                await self._wait()
                continue
            chunk = await reader.read(_READ_BYTES)
            self._due.append((self._arrival(len(chunk)), chunk))
            self._held_bytes += len(chunk)
            self._changed.set()
            if not chunk:
                return

    async def drain(self, writer: asyncio.StreamWriter) -> None:
        """Hand each chunk to the receiver when its time has come."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._due:
                await self._wait()
                continue
            due, chunk = self._due[0]
            if (wait_s := due - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            self._due.popleft()
            if not chunk:
                writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()
            self.passed_bytes += len(chunk)
            self._held_bytes -= len(chunk)
            self._changed.set()

    def _arrival(self, size: int) -> float:
        now = asyncio.get_running_loop().time()
        if self._shape.bytes_per_s is not None:
            self._free_at = max(self._free_at, now) + size / self._shape.bytes_per_s
            now = self._free_at
        return now + self._shape.delay_s

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Link:
    """Listens on loopback and forwards every connection to the target port."""

    def __init__(self, target_port: int, shape: LinkShape) -> None:
        self._target_port = target_port
        self._shape = shape
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.traffic = Traffic()

    async def start(self, port: int = 0) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Stop listening and break what is connected."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._forward(near_in, near_out))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _forward(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        # asyncio sets TCP_NODELAY on every TCP transport.
        up, down = _Direction(self._shape), _Direction(self._shape)
        async with contextlib.AsyncExitStack() as closing:
            closing.enter_context(contextlib.suppress(ConnectionError))  # nobody listens
            closing.push_async_callback(_close, near_out)
            far_in, far_out = await asyncio.open_connection("127.0.0.1", self._target_port)
            closing.push_async_callback(_close, far_out)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(up.fill(near_in))
                    tasks.create_task(up.drain(far_out))
                    tasks.create_task(down.fill(far_in))
                    tasks.create_task(down.drain(near_out))
            except* ConnectionError:
                pass  # an endpoint broke off: closing tells the other one
            finally:
                self.traffic.up += up.passed_bytes
                self.traffic.down += down.passed_bytes


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def precise_loop() -> asyncio.AbstractEventLoop:
    """A loop whose timers are not rounded up to whole milliseconds, as epoll's are."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _serve(link: Link, port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(json.dumps({"port": await link.start(port)}), flush=True)
    await stopped.wait()
    await link.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="A TCP link with a round-trip time.")
    parser.add_argument("--to", type=int, required=True, metavar="PORT")
    parser.add_argument("--port", type=int, default=0, help="0: any free one, printed as JSON")
    parser.add_argument("--rtt-ms", type=float, default=0.0)
    parser.add_argument("--bytes-per-s", type=float, help="per direction; unlimited if absent")
    arguments = parser.parse_args()
    shape = LinkShape(delay_s=arguments.rtt_ms / 2000, bytes_per_s=arguments.bytes_per_s)
    link = Link(arguments.to, shape)
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(_serve(link, arguments.port))
    print(json.dumps({"up_bytes": link.traffic.up, "down_bytes": link.traffic.down}), flush=True)


if __name__ == "__main__":
    main()
