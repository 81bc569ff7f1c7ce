"""The thread that turns traces into shards, off the model's path.

What is handed over waits in a bounded queue, where the thread looks a few times a second: waking it
for every turn would cost the model's thread more than all the rest. When the disk does not keep up,
what comes is dropped, and counted. A store that fails costs records, never an answer.
"""

import logging
import threading
import time
from collections import deque
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
_LOOK_S: Final = 0.25
_TIDY_S: Final = 1.0


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
        self._queue: deque[tuple[Trace, Tops]] = deque()
        self._stopping = threading.Event()
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
        if len(self._queue) >= MOST_WAITING:
            self._dropped += len(trace.tokens)
        else:
            self._queue.append((trace, tops))

    def stop(self) -> None:
        """Write what was handed over and end the thread."""
        self._stopping.set()
        self._thread.join()
        counted = " ".join(f"{name}={tokens}" for name, tokens in asdict(self.counted).items())
        _LOG.info("event=records_closed %s", counted)

    # Below runs on the recorder's own thread.

    def _main(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            self._work()
            self._tidy()
        self._work()
        for record in self._assembly.rest():
            self._write(partial(self._writer.add, record))
        self._write(self._writer.close)

    def _work(self) -> None:
        """Take in what waits."""
        while self._queue:
            record = self._assembly.take(*self._queue.popleft(), time.time())
            if record is not None:
                self._write(partial(self._writer.add, record))

    def _tidy(self) -> None:
        if time.monotonic() < self._tidy_at_s:
            return
        self._tidy_at_s = time.monotonic() + _TIDY_S
        for record in self._assembly.silent(time.time()):
            self._write(partial(self._writer.add, record))
        self._write(self._writer.tick)

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StoreError as error:
            _LOG.error("event=records_lost error=%s", error)
