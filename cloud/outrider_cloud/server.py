"""The running server: its services, health and reflection, and a drain.

It wires the parts and knows none of their business: what is answered is the services', what arrives
from whom the port's.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from typing import Protocol

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from outrider_cloud.errors import EngineError
from outrider_cloud.port import Port

_LOG = logging.getLogger(__name__)

_CLOSING_S = 1.0  # for calls and threads to end once they were told to


class Service(Protocol):
    """What is served, with a life of its own. All is called on the event loop."""

    @property
    def name(self) -> str:
        """In full, as in the contract."""

    def register(self, server: grpc.aio.Server) -> None: ...

    async def start(self) -> None:
        """Calls come only after this."""

    async def crash(self) -> None:
        """Returns once it has died, which only a restart repairs, and its streams were told."""

    async def drain(self, grace_s: float) -> None:
        """Send new calls elsewhere at once, and those that run after a while."""

    async def stop(self, timeout_s: float) -> None:
        """No call runs any more."""


class Server:
    """One port and what is served there. Create and use it on the event loop."""

    def __init__(self, port: Port, services: Sequence[Service]) -> None:
        self.address = port.address
        self._server = port.server
        self._services = services
        self._health = health.aio.HealthServicer()
        for service in services:
            service.register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (service.name for service in services)
        reflection.enable_server_reflection(
            (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    async def start(self) -> None:
        for service in self._services:
            await service.start()
            await self._health.set(service.name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def crash(self) -> None:
        """Returns once a service has died and calls ended."""
        crashes = [asyncio.ensure_future(service.crash()) for service in self._services]
        try:
            await asyncio.wait(crashes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for crash in crashes:
                crash.cancel()
        await self.stop()

    async def drain(self, grace_s: float) -> None:
        """Send load balancers and new answers elsewhere at once, those being written after a while.

        A device resumes what the grace period did not suffice for on another replica, or here after
        a restart.
        """
        _LOG.info("event=draining grace_s=%g", grace_s)
        await self._health.enter_graceful_shutdown()
        await asyncio.gather(*(service.drain(grace_s) for service in self._services))
        await self.stop()

    async def stop(self) -> None:
        """End what still runs. Streams are told why if they listen."""
        await self._server.stop(_CLOSING_S)
        await asyncio.gather(*(service.stop(_CLOSING_S) for service in self._services))
        _LOG.info("event=stopped")


async def serve(server: Server, grace_s: float, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends the process at once.

    Raises EngineError if a service dies.
    """
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _resolve, told)
    await server.start()
    ready()
    crash = asyncio.ensure_future(server.crash())
    await asyncio.wait((told, crash), return_when=asyncio.FIRST_COMPLETED)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    if crash.done():
        raise EngineError("a part that all answers need has died; see the log")
    crash.cancel()
    await server.drain(grace_s)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
