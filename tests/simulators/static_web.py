"""A web server on loopback that serves a folder, with ranges and every bad manner of the web.

It counts what it is asked and what it sends; it knows nothing of what it serves.
"""

import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import unquote

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_SLICE_S = 0.02  # a throttled body comes in slices
_NOISE = b"noise of a server " * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How it behaves: by default as it should."""

    status: int | None = None  # said instead of a file
    fields: Mapping[str, str] = field(default_factory=dict)  # headers besides or instead
    ranges: bool = True  # False: it never heard of them
    range_of: int | None = None  # where it begins instead, without saying so, if it is not None
    bytes_per_s: float | None = None
    break_after: int | None = None  # bytes of a body
    stall_after: int | None = None
    endless: bool = False
    drip_s: float | None = None  # between two bytes of its headers


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    fields: Mapping[str, str]  # names in lower case


class StaticWeb:
    """`manners` are those to all paths, `towards` those to one. Counts are of bytes."""

    def __init__(
        self,
        folder: Path,
        manners: Manners | None = None,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.folder = folder
        self.manners = manners or Manners()
        self.towards: dict[str, Manners] = {}
        self.asked: list[Asked] = []
        self.bodies: Counter[str] = Counter()  # bytes of files that were sent, by path
        self.received = self.sent = 0  # all bytes, headers included
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.open: set[socket.socket] = set()
        handler = type("Handler", (_Handler,), {"web": self})
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._server.daemon_threads = False  # their end is waited for
        self._server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if context is None else "https"
        self.port = int(self._server.server_address[1])
        self.url = f"{scheme}://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        with self.lock:
            for connection in self.open:
                _end(connection)
        self._server.server_close()

    def manners_to(self, path: str) -> Manners:
        return self.towards.get(path, self.manners)


class _Handler(BaseHTTPRequestHandler):
    web: ClassVar[StaticWeb]
    protocol_version = "HTTP/1.1"
    timeout = 60.0

    def setup(self) -> None:
        super().setup()
        with self.web.lock:
            self.web.open.add(self.connection)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rfile: Any = _Counted(self.rfile, self.web)
        self.wfile: Any = _Counted(self.wfile, self.web)

    def finish(self) -> None:
        with self.web.lock:
            self.web.open.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """Tests are quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_CONNECT(self) -> None:
        """Asked as a proxy, which it is not."""
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self._manners = self.web.manners_to(path)
        fields = {name.lower(): value for name, value in self.headers.items()}
        with self.web.lock:
            self.web.asked.append(Asked(self.command, path, fields))
        file = self.web.folder / path.removeprefix("/")
        if self._manners.status is not None:
            self._say(self._manners.status, {}, 0)
        elif self._manners.endless:
            self._say(200, {}, None)
            self._send_noise()
        elif not file.is_file():
            self._say(404, {}, 0)
        else:
            self._send_file(path, file.read_bytes())

    def _send_file(self, path: str, data: bytes) -> None:
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked is None or not self._manners.ranges:
            self._say(200, {}, len(data))
            self._send(path, data)
            return
        first = int(asked[1])
        end = min(int(asked[2]) + 1 if asked[2] else len(data), len(data))
        if first >= end:
            self._say(416, {"Content-Range": f"bytes */{len(data)}"}, 0)
            return
        if self._manners.range_of is not None:
            first = self._manners.range_of
        self._say(206, {"Content-Range": f"bytes {first}-{end - 1}/{len(data)}"}, end - first)
        self._send(path, data[first:end])

    def _say(self, status: int, fields: Mapping[str, str], size: int | None) -> None:
        said = dict(fields) if size is None else {**fields, "Content-Length": str(size)}
        self.send_response(status)
        for name, value in {**said, **self._manners.fields}.items():
            self.send_header(name, value)
        if size is None:
            self.close_connection = True
        if self._manners.drip_s is not None:
            self._drip(self._manners.drip_s)
        self.end_headers()

    def _drip(self, pause_s: float) -> None:
        self.flush_headers()
        self.wfile.write(b"X-Drip: ")
        while not self.web.closing.wait(pause_s):
            self.wfile.write(b"x")

    def _send(self, path: str, data: bytes) -> None:
        if self.command == "HEAD":
            return
        manners = self._manners
        end = min(
            at for at in (manners.break_after, manners.stall_after, len(data)) if at is not None
        )
        rate = manners.bytes_per_s
        slice_bytes = len(data) if rate is None else max(1, int(rate * _SLICE_S))
        for at in range(0, end, max(slice_bytes, 1)):
            piece = data[at : min(at + slice_bytes, end)]
            with self.web.lock:
                self.web.bodies[path] += len(piece)
            self.wfile.write(piece)
            if rate is not None:
                time.sleep(len(piece) / rate)
        if manners.stall_after is not None and manners.stall_after < len(data):
            self.web.closing.wait()
        if end < len(data):
            self.close_connection = True
            _end(self.connection)

    def _send_noise(self) -> None:
        while not self.web.closing.is_set():
            self.wfile.write(_NOISE)


class _Counted:
    """A stream whose bytes are counted; it reads by lines, as requests do."""

    def __init__(self, stream: Any, web: StaticWeb) -> None:
        self._stream, self._web = stream, web

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._stream.readline(limit)
        with self._web.lock:
            self._web.received += len(line)
        return line

    def write(self, data: bytes) -> int:
        with self._web.lock:
            self._web.sent += len(data)
        written: int = self._stream.write(data)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
