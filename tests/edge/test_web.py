"""The way out to the web: ranges, redirects, failures in words, bytes counted, nothing unasked."""

import gzip
import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.errors import BadSettings, ChannelUnavailable, LocalOnly, NotOffered
from outrider_edge.ledger import Meter, Traffic
from outrider_edge.pools import Timeouts
from outrider_edge.releases.source import FolderSource, Pace, Source
from outrider_edge.web import Web, WebSource
from tests.simulators.static_web import Manners, StaticWeb

DATA = bytes(i * 7 % 251 for i in range(200_001))
HASTY = Timeouts(connect_s=2.0, answer_s=0.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    (folder / "targets").mkdir()
    (folder / "targets" / "file").write_bytes(DATA)
    return folder


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[StaticWeb]:
    with StaticWeb(folder) as server:
        yield server


@pytest.fixture
def server(shared: StaticWeb) -> StaticWeb:
    """The same one for every test, as good as new."""
    shared.towards.clear()
    shared.asked.clear()
    shared.bodies.clear()
    shared.manners, shared.sent, shared.received = Manners(), 0, 0
    return shared


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def web(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with closing(Web(meter, local_only=False, timeouts=HASTY)) as web:
        yield web


def fetched(source: Source, first: int = 0, count: int | None = None) -> bytes:
    return b"".join(source.read("targets/file", first, count))


# ---- ranges


@given(
    first=st.integers(0, len(DATA) + 9),
    count=st.none() | st.integers(0, len(DATA) + 9),
    ranges=st.booleans(),
)
def test_any_range_is_the_files_with_and_without_a_server_that_knows_ranges(
    folder: Path, shared: StaticWeb, first: int, count: int | None, ranges: bool
) -> None:
    shared.manners = Manners(ranges=ranges)
    end = None if count is None else first + count
    with closing(Web(Meter(), local_only=False)) as web:
        assert fetched(WebSource(web, shared.url), first, count) == DATA[first:end]
    assert fetched(FolderSource(folder), first, count) == DATA[first:end]


def test_a_range_is_all_that_is_sent(server: StaticWeb, web: Web) -> None:
    fetched(WebSource(web, server.url), 1000, 50)
    assert server.bodies["/targets/file"] == 50
    assert fetched(WebSource(web, server.url), 7, 0) == b""
    assert len(server.asked) == 1


def test_another_range_than_was_asked_is_refused(server: StaticWeb, web: Web) -> None:
    server.manners = Manners(range_of=0)
    with pytest.raises(ChannelUnavailable, match="sends another part of file"):
        fetched(WebSource(web, server.url), 10, 5)
    server.manners = Manners(fields={"Content-Range": "none"})
    with pytest.raises(ChannelUnavailable, match="sends another part of file"):
        fetched(WebSource(web, server.url), 10, 5)


def test_data_that_never_ends_ends_where_it_was_asked_to(server: StaticWeb, web: Web) -> None:
    server.manners = Manners(endless=True)
    assert len(fetched(WebSource(web, server.url), 100_000, 100_000)) == 100_000


def test_what_came_is_not_unpacked(server: StaticWeb, web: Web) -> None:
    """A few bytes could become as many as one likes, and it is packed bytes that are signed."""
    bomb = gzip.compress(bytes(1 << 20))
    (server.folder / "bomb").write_bytes(bomb)
    server.manners = Manners(fields={"Content-Encoding": "gzip"})
    assert b"".join(web.read(f"{server.url}/bomb")) == bomb
    assert server.asked[0].fields["accept-encoding"] == "identity"


def test_pieces_come_as_they_are_sent(server: StaticWeb, web: Web) -> None:
    """Not when a large buffer is full: what came before a break is kept, and the pace is seen."""
    server.manners = Manners(stall_after=1000)
    pieces = web.read(f"{server.url}/targets/file")
    assert next(pieces) == DATA[:1000]
    with pytest.raises(ChannelUnavailable, match="the connection broke"):
        next(pieces)


@pytest.mark.parametrize("at", [0, 1, 4096, 70_000, len(DATA) - 1])
def test_every_byte_before_a_break_counts(server: StaticWeb, web: Web, at: int) -> None:
    server.manners = Manners(break_after=at)
    came = bytearray()
    with pytest.raises(ChannelUnavailable, match="the connection broke"):
        for piece in web.read(f"{server.url}/targets/file"):
            came += piece
    assert came == DATA[:at]


# ---- redirects


def test_redirects_are_followed_five_times(server: StaticWeb, web: Web) -> None:
    def chain(length: int) -> str:
        for number in range(length):
            target = "/targets/file" if number == length - 1 else f"/{number + 1}"
            server.towards[f"/{number}"] = Manners(status=302, fields={"Location": target})
        return f"{server.url}/0"

    assert b"".join(web.read(chain(5), 3, 4)) == DATA[3:7]
    with pytest.raises(ChannelUnavailable, match="from one address to the next without end"):
        list(web.read(chain(6)))


def test_a_secret_goes_to_the_server_it_is_for_alone(
    server: StaticWeb, folder: Path, web: Web
) -> None:
    secret = {"Authorization": "Bearer secret"}
    with StaticWeb(folder) as other:
        server.towards["/here"] = Manners(status=307, fields={"Location": "/there"})
        server.towards["/there"] = Manners(
            status=302, fields={"Location": f"{other.url}/targets/file"}
        )
        assert b"".join(web.read(f"{server.url}/here", fields=secret)) == DATA
        assert ["authorization" in asked.fields for asked in server.asked] == [True, True]
        assert ["authorization" in asked.fields for asked in other.asked] == [False]
        other.towards["/back"] = Manners(
            status=302, fields={"Location": f"{server.url}/targets/file"}
        )
        server.towards["/away"] = Manners(status=302, fields={"Location": f"{other.url}/back"})
        list(web.read(f"{server.url}/away", fields=secret))
        assert "authorization" not in server.asked[-1].fields


@pytest.mark.parametrize(
    "target",
    [
        "http://example.invalid/file",
        "ftp://127.0.0.1/file",
        "file:///etc/passwd",
        "http://[",
        "https://user:word@example.invalid/",
    ],
)
def test_no_server_sends_us_where_we_would_not_go(server: StaticWeb, web: Web, target: str) -> None:
    server.towards["/x"] = Manners(status=301, fields={"Location": target})
    with pytest.raises(ChannelUnavailable, match="sends to where we must not go") as caught:
        list(web.read(f"{server.url}/x"))
    assert "word" not in str(caught.value)


def test_looking_follows_no_redirect(server: StaticWeb, web: Web) -> None:
    server.towards["/x"] = Manners(status=302, fields={"Location": "/targets/file"})
    found = web.look(f"{server.url}/x", {})
    assert (found.status, found.fields["location"]) == (302, "/targets/file")
    assert web.look(f"{server.url}/targets/file", {}).fields["content-length"] == str(len(DATA))
    assert not server.bodies


# ---- addresses


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.invalid/x", "example.invalid is not this machine: only https goes there"),
        ("http://localhost.example.invalid", "only https goes there"),
        ("http://127.0.0.1@example.invalid/", "names a host, and no password"),
        ("ftp://localhost/x", "begins with https"),
        ("https://user:word@example.invalid/x", "names a host, and no password"),
        ("https:///x", "names a host"),
        ("https://[", "that is no web address"),
        ("https://example.invalid:99999/", "that is no web address"),
        ("nothing", "begins with https"),
        ("", "names a host"),
    ],
)
def test_addresses_that_may_not_be_used(web: Web, meter: Meter, url: str, said: str) -> None:
    with pytest.raises(BadSettings, match=said) as caught:
        list(web.read(url))
    assert "word@" not in str(caught.value)
    assert meter.traffic == Traffic(0, 0)


def test_where_no_connection_is_allowed_there_is_no_web() -> None:
    with pytest.raises(LocalOnly, match="local-only is set"):
        Web(Meter(), local_only=True)


# ---- failures


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (403, NotOffered, r"127.0.0.1:\d+ does not give file \(403 Forbidden\)"),
        (404, NotOffered, r"does not give file \(404 Not Found\)"),
        (410, NotOffered, r"does not give file \(410 Gone\)"),
        (401, ChannelUnavailable, "says 401 Unauthorized to file"),
        (429, ChannelUnavailable, "says 429 Too Many Requests to file"),
        (500, ChannelUnavailable, "says 500 Internal Server Error to file"),
        (302, ChannelUnavailable, "says 302 Found to file"),
        (204, ChannelUnavailable, "says 204 No Content to file"),
        (599, ChannelUnavailable, "says 599 to file"),
    ],
)
def test_what_a_server_says_instead(
    server: StaticWeb, web: Web, status: int, kind: type[Exception], said: str
) -> None:
    server.manners = Manners(status=status)
    with pytest.raises(kind, match=said):
        list(web.read(f"{server.url}/targets/file?token=secret"))


def test_nobody_there(web: Web) -> None:
    with pytest.raises(ChannelUnavailable, match=r"^127.0.0.1:9 cannot be reached$"):
        list(web.read("http://127.0.0.1:9/x?token=secret"))


def test_a_server_that_falls_silent_is_not_waited_for(server: StaticWeb, web: Web) -> None:
    server.manners = Manners(stall_after=0)
    began_s = time.monotonic()
    with pytest.raises(ChannelUnavailable, match="the connection broke"):
        list(web.read(f"{server.url}/targets/file"))
    assert time.monotonic() - began_s < 10 * HASTY.answer_s


@pytest.mark.parametrize("method", ["look", "read"])
def test_headers_that_drip_are_not_waited_for(server: StaticWeb, web: Web, method: str) -> None:
    """Each byte comes in time, the last one never: a timeout of reads would not see that."""
    server.manners = Manners(drip_s=HASTY.answer_s / 6)
    url, began_s = f"{server.url}/targets/file", time.monotonic()
    with pytest.raises(ChannelUnavailable, match="does not answer"):
        web.look(url, {}) if method == "look" else list(web.read(url))
    assert time.monotonic() - began_s < 10 * HASTY.answer_s


@pytest.mark.parametrize("first", [0, 5000])
def test_a_file_that_drips_is_given_up(server: StaticWeb, meter: Meter, first: int) -> None:
    """Also where what drips is not what was asked for, and is passed over."""
    server.manners = Manners(bytes_per_s=500.0, ranges=False)
    pace = Pace(window_s=0.3, least_bytes=1000)
    with (
        closing(Web(meter, local_only=False, timeouts=HASTY, pace=pace)) as web,
        pytest.raises(ChannelUnavailable, match=r"only \d+ bytes came from 127.0.0.1:\d+ in 0"),
    ):
        list(web.read(f"{server.url}/targets/file", first))
    assert 0 < server.bodies["/targets/file"] < 1000


def test_a_beginning_that_was_not_asked_for_comes_three_times(
    server: StaticWeb, web: Web, meter: Meter
) -> None:
    """A server may know no ranges, but not have a device read the same again for ever."""
    server.manners = Manners(ranges=False)
    source = WebSource(web, server.url)
    for first in (1, 2, 3):
        assert b"".join(source.read("targets/file", first, 5)) == DATA[first : first + 5]
    with pytest.raises(ChannelUnavailable, match=r"127.0.0.1:\d+ knows no ranges: it is given up"):
        list(source.read("targets/file", 4, 5))
    assert b"".join(source.read("targets/file")) == DATA


def test_odd_headers_are_not_logged(
    server: StaticWeb, web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    server.manners = Manners(fields={"X-Odd": "a\r\nthis is no header"})
    with caplog.at_level(logging.WARNING):
        list(web.read(f"{server.url}/targets/file?signature=secret"))
    assert "secret" not in caplog.text


# ---- bytes


def test_the_meter_counts_what_the_server_counts(folder: Path, web: Web, meter: Meter) -> None:
    with StaticWeb(folder) as server:
        url = f"{server.url}/targets/file"
        server.towards["/x"] = Manners(status=302, fields={"Location": "/targets/file"})
        web.look(url, {"Authorization": "Bearer secret"})
        list(web.read(url))
        list(web.read(f"{server.url}/x?a=b", 5, 10))
        server.manners = Manners(ranges=False)
        list(web.read(url, len(DATA) - 1, 1))
        server.manners = Manners(break_after=5000)
        with pytest.raises(ChannelUnavailable):
            list(web.read(url))
        assert meter.traffic == Traffic(server.received, server.sent)


# ---- certificates and proxies


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, folder: Path) -> Iterator[StaticWeb]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with StaticWeb(folder, context=context) as server:
        yield server


def test_https_needs_a_certificate_of_somebody_trusted(
    secure: StaticWeb, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        closing(Web(Meter(), local_only=False)) as web,
        pytest.raises(ChannelUnavailable, match="no certificate that this machine trusts"),
    ):
        fetched(WebSource(web, secure.url))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with closing(Web(Meter(), local_only=False, timeouts=HASTY)) as web:
        assert fetched(WebSource(web, secure.url), 5, 5) == DATA[5:10]
        secure.manners = Manners(drip_s=HASTY.answer_s / 6)
        with pytest.raises(ChannelUnavailable, match="does not answer"):
            fetched(WebSource(web, secure.url))


def test_another_machine_sends_us_to_no_service_of_this_one(
    server: StaticWeb,
    authority: trustme.CA,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """127.0.0.2 plays it: an address that we do not call ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.2").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    away = Manners(status=302, fields={"Location": f"{server.url}/targets/file"})
    with (
        StaticWeb(folder, away, context, "127.0.0.2") as far,
        closing(Web(Meter(), local_only=False)) as web,
        pytest.raises(ChannelUnavailable, match="sends to where we must not go"),
    ):
        list(web.read(f"{far.url}/x"))
    assert not server.asked


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[StaticWeb]:
    """One that leads nowhere and remembers what it was asked for."""
    with StaticWeb(tmp_path, Manners(status=502)) as server:
        yield server


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
def test_the_environment_names_a_proxy(
    web: Web, proxy: StaticWeb, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://user:w%40rd@127.0.0.1:{proxy.port}")
    with pytest.raises(
        ChannelUnavailable, match=r"^example\.invalid cannot be reached through"
    ) as e:
        list(web.read("https://example.invalid/x"))
    assert "w%40rd" not in str(e.value)
    (asked,) = proxy.asked
    assert (asked.method, asked.path) == ("CONNECT", "example.invalid:443")
    assert asked.fields["proxy-authorization"] == "Basic dXNlcjp3QHJk"


def test_a_proxy_may_be_named_without_its_scheme_or_be_excepted(
    web: Web, proxy: StaticWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
    with pytest.raises(ChannelUnavailable, match="through the proxy"):
        list(web.read("https://example.invalid/x"))
    assert len(proxy.asked) == 1
    monkeypatch.setenv("no_proxy", "example.invalid")
    with pytest.raises(ChannelUnavailable, match=r"^example\.invalid cannot be reached$"):
        list(web.read("https://example.invalid/x"))
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("named", ["socks5://127.0.0.1:1", "http://[", "http://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_said_to_be_that(
    web: Web, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("https_proxy", named)
    with pytest.raises(
        ChannelUnavailable, match=r"^example\.invalid cannot be reached through the"
    ):
        list(web.read("https://example.invalid/x"))


def test_this_machine_is_never_asked_through_a_proxy(
    server: StaticWeb, web: Web, proxy: StaticWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    assert fetched(WebSource(web, server.url)) == DATA
    assert not proxy.asked
