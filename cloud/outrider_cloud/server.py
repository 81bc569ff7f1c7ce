"""The running server: the service, health and reflection, and a drain.

It wires the parts and knows none of their business: what is judged when is the verifier's, what
arrives from whom the port's.
"""

import asyncio
import logging
import signal
from collections.abc import Callable

from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from outrider_cloud.engine import Engine
from outrider_cloud.errors import EngineError
from outrider_cloud.port import Port
from outrider_cloud.recorder import Recorder
from outrider_cloud.service import VerifierService
from outrider_cloud.verifier import Verifier
from outrider_cloud.worker import Worker
from outrider_protos.v1 import outrider_pb2, outrider_pb2_grpc

_LOG = logging.getLogger(__name__)

_SERVICE = outrider_pb2.DESCRIPTOR.services_by_name["Verifier"].full_name
_CLOSING_S = 1.0  # for calls and the model thread to end once they were told to


class Server:
    """One port, one verifier, one engine. Create and use it on the event loop."""

    def __init__(
        self,
        port: Port,
        verifier: Verifier,
        engine: Engine,
        description: outrider_pb2.Description,
        recorder: Recorder | None = None,
    ) -> None:
        self.address = port.address
        self._server = port.server
        self._health = health.aio.HealthServicer()
        self._worker = Worker(verifier, engine, asyncio.get_running_loop(), recorder)
        self._service = VerifierService(self._worker, description)
        outrider_pb2_grpc.add_VerifierServicer_to_server(self._service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    async def start(self) -> None:
        self._worker.start()
        await self._health.set(_SERVICE, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def crash(self) -> None:
        """Returns once the model thread has died, which only a restart repairs, and calls ended."""
        await self._worker.crashed
        self._service.end_streams(EngineError("the model thread died"))
        await self.stop()

    async def drain(self, grace_s: float) -> None:
        """Send load balancers and new answers elsewhere at once, those being written after a while.

        A device resumes what the grace period did not suffice for on another replica, or here after
        a restart.
        """
        _LOG.info("event=draining grace_s=%g", grace_s)
        await self._health.enter_graceful_shutdown()
        await self._service.drain(grace_s)
        await self.stop()

    async def stop(self) -> None:
        """End what still runs. Streams are told why if they listen."""
        await self._server.stop(_CLOSING_S)
        await self._worker.stop(_CLOSING_S)
        _LOG.info("event=stopped")


async def serve(server: Server, grace_s: float, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends the process at once.

    Raises EngineError if the model thread dies.
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
        raise EngineError("the model thread died; see the log")
    crash.cancel()
    await server.drain(grace_s)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
