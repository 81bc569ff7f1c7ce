"""Who is calling: tokens from a file, and the owner that sessions belong to.

Tokens are kept and compared as digests, all of them every time, so that neither the length nor the
place of a difference shows in the time taken. It does not know what an owner may do.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import grpc

from outrider_cloud.errors import ConfigError, UnauthenticatedError
from outrider_cloud.failure import translate

LOCAL_OWNER = "local"  # everybody, where no token is asked for: loopback only

_AUTHORIZATION = "authorization"
_SCHEME = "Bearer "
_HEALTH = "/grpc.health.v1.Health/"  # load balancers ask without a token

# Set by the interceptor for the call it lets through; both run in the call's own task.
owner_of_call: ContextVar[str] = ContextVar("owner_of_call", default=LOCAL_OWNER)

_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")
# Generic in its stubs alone, hence the quotes.
_Handler: TypeAlias = "grpc.RpcMethodHandler[_Asked, _Told] | None"


class TokenBook:
    """The known tokens and whose they are. One owner may have several, so tokens can be renewed."""

    def __init__(self, owners: dict[bytes, str]) -> None:
        self._owners = owners  # by digest

    @classmethod
    def read(cls, path: Path) -> "TokenBook":
        """From lines `name token`; empty lines and lines starting with # are skipped."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the token file {path}: {error}") from error
        owners: dict[bytes, str] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, _, token = line.strip().partition(" ")
            if not token.strip() or " " in token.strip():
                raise ConfigError(f"{path}, line {number}: expected `name token`")
            if owners.setdefault(_digest(token.strip()), name) != name:
                raise ConfigError(f"{path}, line {number}: this token belongs to somebody else too")
        if not owners:
            raise ConfigError(f"the token file {path} holds no token")
        return cls(owners)

    @property
    def count(self) -> int:
        """Of owners."""
        return len(set(self._owners.values()))

    def owner(self, token: str) -> str | None:
        shown = _digest(token)
        found = None
        for digest, name in self._owners.items():
            if hmac.compare_digest(digest, shown):
                found = name
        return found


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Lets a call through if it shows a known token, and remembers whose it is."""

    def __init__(self, tokens: TokenBook) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler[_Asked, _Told]]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler[_Asked, _Told]":
        if not handler_call_details.method.startswith(_HEALTH):
            owner = self._tokens.owner(_shown_token(handler_call_details))
            if owner is None:
                # As a stream it answers calls of any kind, without waiting for a first message.
                return grpc.stream_stream_rpc_method_handler(_refuse)
            owner_of_call.set(owner)
        return await continuation(handler_call_details)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _shown_token(call: grpc.HandlerCallDetails) -> str:
    for key, value in call.invocation_metadata:
        if key == _AUTHORIZATION and isinstance(value, str) and value.startswith(_SCHEME):
            return value.removeprefix(_SCHEME)
    return ""


async def _refuse(_requests: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    failure = translate(UnauthenticatedError())
    await context.abort(failure.status, failure.text, failure.metadata)
