"""Asks a running cloud for its fleet: one call. It knows nothing of how that is shown."""

import re
from pathlib import Path
from typing import Final

import grpc

from outrider_cloud.address import Address
from outrider_cloud.errors import ClientError, ConfigError
from outrider_protos.limits import MAX_MESSAGE_BYTES
from outrider_protos.v1 import drafts_pb2, drafts_pb2_grpc

_WAIT_S: Final = 10.0
_OPTIONS: Final = (("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),)


def ask(cloud: str, ca: Path | None, token_file: Path | None) -> drafts_pb2.Fleet:
    """Without `ca` only on this machine. Raises ConfigError or ClientError."""
    address = _address(cloud)
    if ca is None and not address.is_loopback:
        raise ConfigError(f"{address} is not this machine: a connection there needs --ca")
    token = _token(token_file) if token_file is not None else None
    metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
    with _channel(str(address), ca) as channel:
        stub = drafts_pb2_grpc.DraftChannelStub(channel)
        try:
            return stub.ShowFleet(drafts_pb2.FleetRequest(), timeout=_WAIT_S, metadata=metadata)
        except grpc.RpcError as error:
            raise ClientError(_reason(address, error)) from error


def _channel(target: str, ca: Path | None) -> grpc.Channel:
    if ca is None:
        return grpc.insecure_channel(target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(_read(ca))
    return grpc.secure_channel(target, credentials, options=_OPTIONS)


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise ConfigError(f"--cloud {error}") from error


def _token(file: Path) -> str:
    token = _read(file).decode("ascii", errors="replace").strip()
    if not re.fullmatch(r"[!-~]{1,4096}", token):
        raise ConfigError(f"{file} does not hold one token")
    return token


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error


def _reason(address: Address, error: grpc.RpcError) -> str:
    """gRPC's errors are calls too, which its types do not say."""
    status = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    match status:
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"the cloud at {address} serves no releases"
        case grpc.StatusCode.UNAUTHENTICATED:
            return f"the cloud at {address} asks for a known token: --token-file"
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no cloud answers at {address}"
        case _:
            return f"the cloud at {address} could not answer: {status.name}"
