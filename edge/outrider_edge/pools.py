"""Connections to web servers, straight or through the proxy that the environment names.

A server that drips is broken off: a timeout of a socket is of one read, and one byte in time is
enough for it. It knows no messages; who may be asked is `web`'s affair.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import LocationParseError, ProxySchemeUnknown
from urllib3.util import Url, make_headers, parse_url

_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a server may take."""

    connect_s: float = 10.0
    answer_s: float = 20.0  # to the end of its headers, and from one piece of a file to the next


class Pools:
    """Raises urllib3's errors."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeout = urllib3.Timeout(connect=timeouts.connect_s, read=timeouts.answer_s)
        self._direct = _hurried(urllib3.PoolManager(timeout=self._timeout, retries=False))
        self._proxies: dict[str, urllib3.PoolManager] = {}

    def to(self, url: Url) -> urllib3.PoolManager:
        """Whom to ask for it: this machine is always asked itself."""
        known = getproxies()
        proxy = known.get("https", known.get("all"))
        if proxy is None or is_loopback(url) or proxy_bypass(url.host or ""):
            return self._direct
        if proxy not in self._proxies:
            self._proxies[proxy] = _hurried(self._through(proxy))
        return self._proxies[proxy]

    def close(self) -> None:
        """End all connections."""
        for pool in (self._direct, *self._proxies.values()):
            pool.clear()

    def _through(self, proxy: str) -> urllib3.ProxyManager:
        try:
            at = parse_url(proxy if "://" in proxy else f"http://{proxy}")
        except LocationParseError as error:
            raise ProxySchemeUnknown(None) from error
        secret = make_headers(proxy_basic_auth=unquote(at.auth)) if at.auth else None
        plain = Url(scheme=at.scheme, host=at.host, port=at.port).url
        return urllib3.ProxyManager(
            plain, proxy_headers=secret, timeout=self._timeout, retries=False
        )


def is_loopback(url: Url) -> bool:
    """Whether it is of this machine."""
    return url.host in _LOOPBACK


class _Connection(HTTPConnection):
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        with _deadline(self):
            return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        with _deadline(self):
            return super().getresponse()


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _hurried(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


@contextmanager
def _deadline(connection: HTTPConnection) -> Iterator[None]:
    """Break it when the headers are not there after as long as one read may take.

    Raises TimeoutError then: half a head would pass for a whole one.
    """
    assert isinstance(connection.timeout, float)
    late = threading.Event()
    with socket.socket(fileno=os.dup(connection.sock.fileno())) as same:
        timer = threading.Timer(connection.timeout, _break, (same, late))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
    if late.is_set():
        raise TimeoutError


def _break(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
