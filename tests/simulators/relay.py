"""A TCP relay on loopback that can be cut and healed: the network between device and cloud."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 1 << 16


class Relay:
    """Passes bytes on to `address` until `cut`; while cut, connections are refused."""

    def __init__(self, address: str) -> None:
        self._target = address
        self._open, self._silent = True, False
        self._pairs: list[socket.socket] = []
        self._lock = threading.Lock()
        self._chunks_left: int | None = None
        self._heal_to: str | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def cut(self) -> None:
        """Break every connection, and every new one."""
        with self._lock:
            self._open = False
            pairs, self._pairs = self._pairs, []
        for end in pairs:
            _close(end)

    def cut_after(self, chunks: int, *, heal_to: str | None) -> None:
        """Cut once so many chunks more have come down; heal at once, if it is said where to."""
        with self._lock:
            self._chunks_left, self._heal_to = chunks, heal_to

    def fall_silent(self) -> None:
        """Lose every byte from now on, and let nobody know."""
        self._silent = True

    def heal(self, address: str | None = None) -> None:
        """Pass bytes again, perhaps to another cloud."""
        with self._lock:
            self._target = address or self._target
            self._open = True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if not self._open:
                    _close(near)
                    continue
                host, port = self._target.rsplit(":", 1)
                far = socket.create_connection((host, int(port)))
                self._pairs += [near, far]
            for one, other, down in ((near, far, False), (far, near, True)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pump = threading.Thread(target=self._pump, args=(one, other, down), daemon=True)
                pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                if down and self._is_last():
                    self.cut()
                    if self._heal_to is not None:
                        self.heal(self._heal_to)
                    break
                if not self._silent:
                    sink.sendall(data)
        _close(source)
        _close(sink)

    def _is_last(self) -> bool:
        with self._lock:
            if self._chunks_left is None:
                return False
            self._chunks_left -= 1
            if self._chunks_left > 0:
                return False
            self._chunks_left = None
            return True


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
