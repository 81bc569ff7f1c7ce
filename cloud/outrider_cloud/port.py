"""A port to serve on: its limits, TLS, and who may come in. It knows nothing of what is served."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from outrider_cloud.address import Address
from outrider_cloud.auth import Doorkeeper, TokenBook
from outrider_cloud.config import ChannelConfig
from outrider_cloud.errors import ConfigError
from outrider_protos.limits import MAX_MESSAGE_BYTES

_SPARE_CALLS = 64  # besides those that last: Describe, reports, health, reflection

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    # A device that vanished without a word is noticed within this time.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A device may ping while it is quiet, to keep its way through a NAT open.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
    # Otherwise a second server on the same port would start, and take half of the calls.
    ("grpc.so_reuseport", 0),
)


@dataclass(frozen=True, slots=True)
class Port:
    """Bound, so nobody else can take it; nothing is answered before the server starts."""

    server: grpc.aio.Server
    address: Address
    owners: int  # who may call; 0: everybody on this machine, as one


async def bind(config: ChannelConfig) -> Port:
    """Needs the running loop. Raises ConfigError."""
    wanted = Address.parse(config.listen)
    credentials = _credentials(config, wanted)
    tokens = TokenBook.read(config.token_file) if config.token_file else None
    calls = config.calls + _SPARE_CALLS
    server = grpc.aio.server(
        interceptors=[Doorkeeper(tokens)] if tokens else [],
        options=(*_OPTIONS, ("grpc.max_concurrent_streams", calls)),
        maximum_concurrent_rpcs=calls,
    )
    try:
        if credentials is None:
            number = server.add_insecure_port(str(wanted))
        else:
            number = server.add_secure_port(str(wanted), credentials)
    except RuntimeError as error:
        raise ConfigError(
            f"cannot listen on {wanted}: the port is in use, or the address is not this machine's"
        ) from error
    return Port(server, Address(wanted.host, number), tokens.count if tokens else 0)


def _credentials(config: ChannelConfig, address: Address) -> grpc.ServerCredentials | None:
    """None is plain text, for loopback alone."""
    needed = {
        "--tls-cert": config.tls_cert,
        "--tls-key": config.tls_key,
        "--token-file": config.token_file,
    }
    missing = [flag for flag, path in needed.items() if path is None]
    if missing and not address.is_loopback:
        raise ConfigError(
            f"{address} can be reached from other machines: that needs {', '.join(needed)}"
            f" (missing: {', '.join(missing)})"
        )
    if config.tls_cert is None and config.tls_key is None:
        return None
    if config.tls_cert is None or config.tls_key is None:
        raise ConfigError("--tls-cert and --tls-key only work together")
    _check_pair(config.tls_cert, config.tls_key)
    pair = config.tls_key.read_bytes(), config.tls_cert.read_bytes()
    return grpc.ssl_server_credentials([pair])


def _check_pair(cert: Path, key: Path) -> None:
    """gRPC itself would only say that it cannot bind. An encrypted key must not ask at a prompt."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: b"")
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or "not a certificate and its unencrypted key, as PEM"
        raise ConfigError(f"cannot use --tls-cert {cert} with --tls-key {key}: {reason}") from error
