"""One Decode call: words from the device to the worker and back, each direction bounded.

It knows how words travel and nothing of what they mean. A device that sends faster than it is heard
is simply not read from (HTTP/2 flow control does the rest); one that does not read what it is told
loses the stream, never the session.
"""

import asyncio
from collections import deque
from contextlib import suppress

import grpc

from outrider_cloud.errors import SlowReaderError
from outrider_cloud.worker import Worker
from outrider_protos.codec import decode_device, encode_cloud
from outrider_protos.limits import MAX_MESSAGE_BYTES
from outrider_protos.v1 import outrider_pb2
from outrider_protos.words import CloudWord

MAX_UNHEARD_WORDS = 256
MAX_UNHEARD_BYTES = MAX_MESSAGE_BYTES
_LAST_WRITE_S = 10.0
MAX_UNREAD_WORDS = 256

# Each word counts as this much at least, so that one account of bytes bounds the words as well.
_LEAST_WORD_BYTES = MAX_UNHEARD_BYTES // MAX_UNHEARD_WORDS

DecodeContext = grpc.aio.ServicerContext[outrider_pb2.DeviceMessage, outrider_pb2.CloudMessage]


class DecodeStream:
    """Carries one call. Everything but the worker's jobs runs on the event loop."""

    def __init__(self, number: int, context: DecodeContext, worker: Worker) -> None:
        self._number = number
        self._context = context
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._unheard_bytes = 0
        self._room = asyncio.Event()  # the reader waits for it
        self._unread: deque[CloudWord] = deque()
        self._news = asyncio.Event()  # the writer waits for it
        self._last: Exception | None = None  # ends the stream after what is unread

    async def run(self, owner: str) -> None:
        """Serve until the device is done. Raises what ended the stream otherwise."""
        self._worker.connect(self._number, owner, self)
        tasks = [self._loop.create_task(self._read()), self._loop.create_task(self._write())]
        for task in tasks:
            task.add_done_callback(self._task_done)
        try:
            await self._ended
        finally:
            self._worker.disconnect(self._number)
            # The tasks end by themselves once the call has. Cancelling a task inside a gRPC
            # operation would free memory that the core still writes to.
            self._finish(None)
            # Nor can a status be sent while a write waits for the device to read.
            await asyncio.wait(tasks[1:], timeout=_LAST_WRITE_S)

    # The worker's outlet.

    def say(self, word: CloudWord) -> None:
        if self._ended.done() or self._last is not None:
            return
        self._unread.append(word)
        if len(self._unread) > MAX_UNREAD_WORDS:
            self._finish(SlowReaderError())
        else:
            self._news.set()

    def heard(self, size: int) -> None:
        self._unheard_bytes -= size
        self._room.set()

    def end(self, error: Exception) -> None:
        if self._last is None:
            self._last = error
            self._news.set()

    # The two directions.

    async def _read(self) -> None:
        with suppress(grpc.aio.BaseError):  # the call ended under the read
            while not self._ended.done():
                message = await self._context.read()
                if not isinstance(message, outrider_pb2.DeviceMessage):
                    return  # the device has said all
                size = max(message.ByteSize(), _LEAST_WORD_BYTES)
                self._worker.hear(self._number, decode_device(message), size)
                self._unheard_bytes += size
                while self._unheard_bytes >= MAX_UNHEARD_BYTES and not self._ended.done():
                    self._room.clear()
                    await self._room.wait()

    async def _write(self) -> None:
        with suppress(grpc.aio.BaseError):  # the call ended under the write
            while not self._ended.done():
                if self._unread:
                    await self._context.write(encode_cloud(self._unread.popleft()))
                elif self._last is not None:
                    self._finish(self._last)
                else:
                    self._news.clear()
                    await self._news.wait()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._finish(None if task.cancelled() else task.exception())

    def _finish(self, error: BaseException | None) -> None:
        if not self._ended.done():
            if error is None:
                self._ended.set_result(None)
            else:
                self._ended.set_exception(error)
        self._room.set()
        self._news.set()
