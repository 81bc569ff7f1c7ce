"""The thread that turns traces into shards, off the model's path.

What is handed over waits in a bounded queue; when the disk does not keep up, what comes is dropped,
and counted. A store that fails costs records, never an answer.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

from outrider_cloud.records.assembly import Assembly
from outrider_cloud.records.record import Tops, Versions
from outrider_cloud.records.shards import Store, StoreError
from outrider_cloud.records.writer import Rotation, ShardWriter
from outrider_cloud.trace import Trace

_LOG = logging.getLogger(__name__)

MOST_WAITING: Final = 4096  # traces, of about 0.6 KB a token each
_TICK_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Tokens since the start."""

    written: int
    dropped: int  # the queue was full
    left_out: int  # what came before them had been dropped
    lost: int  # they could not be written


class Recorder:
    """`take` is called on the model thread and never waits; everything else happens on its own."""

    def __init__(self, store: Store, versions: Versions, rotation: Rotation = Rotation()) -> None:
        self._writer = ShardWriter(store, rotation)
        self._assembly = Assembly(versions)
        self._dropped = 0
        self._tidy_at_s = 0.0  # monotonic
        # None ends the thread.
        self._queue: queue.Queue[tuple[Trace, Tops] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._main, name="records", daemon=True)

    @property
    def counted(self) -> Recorded:
        return Recorded(
            written=self._writer.written_tokens,
            dropped=self._dropped,
            left_out=self._assembly.left_out,
            lost=self._writer.lost_tokens,
        )

    def start(self) -> None:
        self._thread.start()

    def take(self, trace: Trace, tops: Tops) -> None:
        if self._queue.qsize() >= MOST_WAITING:
            self._dropped += len(trace.tokens)
        else:
            self._queue.put((trace, tops))

    def stop(self) -> None:
        """Write what was handed over and end the thread."""
        self._queue.put(None)
        self._thread.join()
        counted = " ".join(f"{name}={tokens}" for name, tokens in asdict(self.counted).items())
        _LOG.info("event=records_closed %s", counted)

    # Below runs on the recorder's own thread.

    def _main(self) -> None:
        while self._work():
            self._tidy()
        for record in self._assembly.rest():
            self._write(partial(self._writer.add, record))
        self._write(self._writer.close)

    def _work(self) -> bool:
        """Take in one trace, or none for a while; False if that was the last."""
        try:
            handed = self._queue.get(timeout=_TICK_S)
        except queue.Empty:
            return True
        if handed is None:
            return False
        record = self._assembly.take(*handed, time.time())
        if record is not None:
            self._write(partial(self._writer.add, record))
        return True

    def _tidy(self) -> None:
        if time.monotonic() < self._tidy_at_s:
            return
        self._tidy_at_s = time.monotonic() + _TICK_S
        for record in self._assembly.silent(time.time()):
            self._write(partial(self._writer.add, record))
        self._write(self._writer.tick)

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StoreError as error:
            _LOG.error("event=records_lost error=%s", error)
