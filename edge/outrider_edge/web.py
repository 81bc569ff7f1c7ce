"""The way out to the web, which alone speaks HTTP: release channels and model hubs.

Every byte of a message passes the meter here, headers included, its pace is watched, and local-only
is enforced here. Plain HTTP goes to this machine alone. It knows addresses and ranges, not what is
fetched.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import responses
from typing import Final
from urllib.parse import quote, urljoin

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationParseError,
    ProtocolError,
    ProxyError,
    ProxySchemeUnknown,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Url, parse_url

from outrider_edge.errors import BadSettings, ChannelUnavailable, LocalOnly, NotOffered
from outrider_edge.ledger import Meter
from outrider_edge.pools import Pools, Timeouts, is_loopback
from outrider_edge.releases.source import Pace

_PIECE_BYTES: Final = 1 << 16
_MOST_PASSED_OVER: Final = 3  # times that a file's beginning comes though its end was asked for
_MOST_REDIRECTS: Final = 5
_GONE: Final = (403, 404, 410)
_PAST_THE_END: Final = 416
_PLACE: Final = re.compile(r"bytes (\d{1,18})-")
_FAILURES: Final[tuple[tuple[tuple[type[HTTPError], ...], str], ...]] = (
    ((SSLError,), "shows no certificate that this machine trusts"),
    ((ProxyError, ProxySchemeUnknown), "cannot be reached through the proxy"),
    ((ReadTimeoutError, ProtocolError), "does not answer"),
)

# Its warnings of odd headers quote whole addresses, and those of a hub are signed.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Heading:
    """What a server says of a file without sending it."""

    status: int
    fields: Mapping[str, str]  # names in lower case


class Web:
    """Raises LocalOnly when made where no connection is allowed."""

    def __init__(
        self,
        meter: Meter,
        *,
        local_only: bool,
        timeouts: Timeouts = Timeouts(),
        pace: Pace = Pace(),
    ) -> None:
        if local_only:
            raise LocalOnly("local-only is set: no connection may be opened")
        self._meter, self._pace = meter, pace
        self._pools = Pools(timeouts)
        self._passed_over: Counter[str] = Counter()  # by address

    def close(self) -> None:
        """End all connections."""
        self._pools.close()

    def look(self, url: str, fields: Mapping[str, str]) -> Heading:
        """Ask about a file, following no redirect: the first answer is the one that knows.

        Raises BadSettings (an address that may not be used), ChannelUnavailable.
        """
        answer = self._ask("HEAD", _address(url), fields)
        try:
            return Heading(answer.status, {n.lower(): value for n, value in answer.headers.items()})
        finally:
            answer.close()

    def read(
        self, url: str, first: int = 0, count: int | None = None, fields: Mapping[str, str] = {}
    ) -> Iterator[bytes]:
        """Bytes [first, first + count) of a file, or all from `first`; fewer where it ends.

        Raises NotOffered, ChannelUnavailable, BadSettings.
        """
        if count == 0:
            return
        wanted = dict(fields)
        if first or count is not None:
            wanted["Range"] = f"bytes={first}-{'' if count is None else first + count - 1}"
        answer = self._followed(_address(url), wanted)
        try:
            if answer.status != _PAST_THE_END:
                _check(answer, parse_url(url), first)
                skipped = first if answer.status == 200 else 0
                if skipped:
                    self._expect_patience(url)
                body = self._pace.watch(self._body(answer), parse_url(url).netloc or url)
                yield from _part(body, skipped, count)
        finally:
            answer.close()

    def _followed(self, url: Url, fields: dict[str, str]) -> urllib3.BaseHTTPResponse:
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._ask("GET", url, fields)
            target = answer.get_redirect_location()
            if not target:
                return answer
            answer.close()
            further = _further(url, target)
            if (further.scheme, further.netloc) != (url.scheme, url.netloc):
                fields = {k: v for k, v in fields.items() if k != "Authorization"}
            url = further
        raise ChannelUnavailable(f"{url.netloc} sends from one address to the next without end")

    def _ask(self, method: str, url: Url, fields: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        said = {
            "Host": url.netloc or "",
            "User-Agent": "outrider",
            "Accept-Encoding": "identity",
            **fields,
        }
        self._meter.sent(len(f"{method} {url.request_uri} HTTP/1.1\r\n") + _size(said))
        try:
            answer = self._pools.to(url).request(
                method, url.url, headers=said, preload_content=False, redirect=False
            )
        except HTTPError as error:
            problem = (text for kinds, text in _FAILURES if isinstance(error, kinds))
            said_ = next(problem, "cannot be reached")
            raise ChannelUnavailable(f"{url.netloc} {said_}") from error
        status_line = f"HTTP/1.1 {answer.status} {answer.reason or ''}\r\n"
        self._meter.received(len(status_line) + _size(answer.headers))
        return answer

    def _expect_patience(self, url: str) -> None:
        """A server that knows no ranges sends what is there already, each time anew."""
        self._passed_over[url] += 1
        if self._passed_over[url] > _MOST_PASSED_OVER:
            raise ChannelUnavailable(f"{parse_url(url).netloc} knows no ranges: it is given up")

    def _body(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """As it comes. Nothing is unpacked: the bytes are those that were signed."""
        try:
            while piece := answer.read1(_PIECE_BYTES, decode_content=False):
                self._meter.received(len(piece))
                yield piece
        except HTTPError as error:
            raise ChannelUnavailable("the connection broke") from error


class WebSource:
    """A `releases.source.Source`: a repository on any static server that knows ranges."""

    def __init__(self, web: Web, url: str) -> None:
        self._web, self._url = web, url.rstrip("/")

    def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
        """See `Source`."""
        return self._web.read(f"{self._url}/{quote(path)}", first, count)


# ---- addresses


def _address(text: str) -> Url:
    """Read as urllib3 will, so that what is checked is what is asked. Raises BadSettings."""
    try:
        url = parse_url(text)
    except LocationParseError as error:
        raise BadSettings("that is no web address") from error
    if url.host is None or url.auth is not None:
        raise BadSettings("a web address names a host, and no password")
    if url.scheme not in ("https", "http"):
        raise BadSettings("a web address begins with https")
    if url.scheme == "http" and not is_loopback(url):
        raise BadSettings(f"{url.netloc} is not this machine: only https goes there")
    return url


def _further(url: Url, target: str) -> Url:
    """Where a server sends us: nothing that we would not use, nor a service of this machine."""
    try:
        found = _address(urljoin(url.url, target))
    except (ValueError, BadSettings) as error:
        raise ChannelUnavailable(f"{url.netloc} sends to where we must not go") from error
    if is_loopback(found) and not is_loopback(url):
        raise ChannelUnavailable(f"{url.netloc} sends to where we must not go")
    return found


# ---- messages


def _part(pieces: Iterator[bytes], skipped: int, count: int | None) -> Iterator[bytes]:
    """What was asked for; a server that knows no ranges sends more, which is passed over."""
    for piece in pieces:
        kept = piece[skipped:][:count]
        skipped = max(0, skipped - len(piece))
        if kept:
            yield kept
        if count is not None:
            count -= len(kept)
            if count == 0:
                return


def _check(answer: urllib3.BaseHTTPResponse, url: Url, first: int) -> None:
    name = (url.path or "").rpartition("/")[2]
    if answer.status == 206:
        place = _PLACE.match(answer.headers.get("Content-Range", ""))
        if place is None or int(place[1]) != first:
            raise ChannelUnavailable(f"{url.netloc} sends another part of {name} than was asked")
    elif answer.status != 200:
        said = f"{answer.status} {responses.get(answer.status, '')}".strip()
        if answer.status in _GONE:
            raise NotOffered(f"{url.netloc} does not give {name} ({said})")
        raise ChannelUnavailable(f"{url.netloc} says {said} to {name}")


def _size(fields: Mapping[str, str]) -> int:
    """Bytes of header lines as they are written, and of the empty line below them."""
    return sum(len(name) + len(value) + 4 for name, value in fields.items()) + 2
