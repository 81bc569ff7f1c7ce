"""The service of the contract, thin over the worker: Decode, Describe and ReportLoad.

It decides nothing.
"""

import asyncio
import itertools
import logging
import time
from contextlib import suppress
from typing import Final

import grpc
from grpc import StatusCode

from outrider_cloud.auth import owner_of_call
from outrider_cloud.errors import DrainingError, EngineError
from outrider_cloud.failure import translate
from outrider_cloud.load import WINDOW_S
from outrider_cloud.stream import DecodeContext, DecodeStream
from outrider_cloud.worker import Worker
from outrider_protos.v1 import outrider_pb2, outrider_pb2_grpc

_LOG = logging.getLogger(__name__)

_FAREWELL_S = 1.0  # for a last word to reach those who were told to go
_RETRY_AFTER_MS = 2_000  # another replica takes over at once, a restart takes a while


class VerifierService(outrider_pb2_grpc.VerifierServicer):
    """Hands each stream to the worker, whose life it shares, and keeps count of them."""

    name: Final = outrider_pb2.DESCRIPTOR.services_by_name["Verifier"].full_name

    def __init__(self, worker: Worker, description: outrider_pb2.Description) -> None:
        self._worker = worker
        self._description = description
        self._numbers = itertools.count(1)
        self._streams: set[DecodeStream] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._draining = False

    def register(self, server: grpc.aio.Server) -> None:
        outrider_pb2_grpc.add_VerifierServicer_to_server(self, server)

    async def start(self) -> None:
        self._worker.start()

    async def Describe(
        self, request: outrider_pb2.DescribeRequest, context: object
    ) -> outrider_pb2.Description:
        return self._description

    async def ReportLoad(
        self, request: outrider_pb2.LoadRequest, context: object
    ) -> outrider_pb2.LoadReport:
        return self.load_report()

    def load_report(self) -> outrider_pb2.LoadReport:
        """Any thread may ask."""
        busy = self._worker.load.busy(time.monotonic())
        return outrider_pb2.LoadReport(busy=busy, window_s=WINDOW_S, streams=len(self._streams))

    # The generated signature knows handlers that yield; this one writes to its context.
    async def Decode(self, request_iterator: object, context: DecodeContext) -> None:  # type: ignore[override]
        owner, start_s = owner_of_call.get(), time.monotonic()
        status = StatusCode.CANCELLED
        try:
            await self._carry(context, owner)
            status = StatusCode.OK
        except Exception as error:  # noqa: BLE001 - the border where errors become statuses
            failure = translate(error)
            status = failure.status
            await context.abort(status, failure.text, failure.metadata)
        finally:
            seconds = time.monotonic() - start_s
            _LOG.info("event=stream_ended owner=%s status=%s s=%.3f", owner, status.name, seconds)

    async def _carry(self, context: DecodeContext, owner: str) -> None:
        if self._draining:
            raise DrainingError(_RETRY_AFTER_MS)
        stream = DecodeStream(next(self._numbers), context, self._worker)
        self._streams.add(stream)
        self._empty.clear()
        try:
            await stream.run(owner)
        finally:
            self._streams.discard(stream)
            if not self._streams:
                self._empty.set()

    async def drain(self, grace_s: float) -> None:
        """Take no new streams, and see off those that are here.

        Answers being written have the grace period to end, then they are sent elsewhere too.
        """
        self._draining = True
        reason = DrainingError(_RETRY_AFTER_MS)
        self._worker.drain(reason, at_once=False)
        if await self._emptied(grace_s):
            return
        self._worker.drain(reason, at_once=True)
        if not await self._emptied(_FAREWELL_S):
            self._end_streams(reason)

    async def crash(self) -> None:
        await self._worker.crashed
        self._end_streams(EngineError("the model thread died"))

    async def stop(self, timeout_s: float) -> None:
        """Streams have ended; a thread that is stuck in a forward is left behind."""
        await self._worker.stop(timeout_s)

    async def _emptied(self, timeout_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        return not self._streams

    def _end_streams(self, error: Exception) -> None:
        """Where the worker cannot: it is dead, or busy beyond all patience."""
        for stream in self._streams:
            stream.end(error)
