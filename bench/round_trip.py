"""What a round trip over the emulated link really takes, at the moment."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from bench.children import linked
from bench.pin import Place

_TRIPS = 20
_MESSAGE = bytes(64)


def measure_rtt_s(place: Place, rtt_ms: float) -> float:
    """The median of some round trips of one small message through a link asked for `rtt_ms`."""
    with _echo() as port, linked(place, port, rtt_ms) as near:
        connection = socket.create_connection(("127.0.0.1", near))
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return median(_trip_s(connection) for _ in range(_TRIPS))


def _trip_s(connection: socket.socket) -> float:
    begun = time.perf_counter()
    connection.sendall(_MESSAGE)
    received = 0
    while received < len(_MESSAGE):
        received += len(connection.recv(len(_MESSAGE)))
    return time.perf_counter() - begun


@contextmanager
def _echo() -> Iterator[int]:
    """Serves one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while chunk := connection.recv(1 << 16):
                    connection.sendall(chunk)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
    thread.join(timeout=1.0)
