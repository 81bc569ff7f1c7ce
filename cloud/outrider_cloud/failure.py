"""What a caller is told when a call fails: the one place where errors become gRPC statuses.

Only the errors named here speak for themselves; whatever else goes wrong is INTERNAL with a
constant text, and the log says where to look.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode

from outrider_cloud.errors import (
    AbsentError,
    BeyondEndError,
    BusyError,
    DrainingError,
    HaltedError,
    PeerError,
    SlowReaderError,
    UnauthenticatedError,
)
from outrider_cloud.log import place
from outrider_protos.errors import RETRY_AFTER_KEY, MalformedMessage, UnsupportedVersion

_LOG = logging.getLogger(__name__)

# The first entry that fits counts, so the narrower types come first.
_CATALOGUE: tuple[tuple[type[Exception], StatusCode], ...] = (
    (DrainingError, StatusCode.UNAVAILABLE),
    (BusyError, StatusCode.RESOURCE_EXHAUSTED),
    (SlowReaderError, StatusCode.RESOURCE_EXHAUSTED),
    (UnauthenticatedError, StatusCode.UNAUTHENTICATED),
    (AbsentError, StatusCode.NOT_FOUND),
    (BeyondEndError, StatusCode.OUT_OF_RANGE),
    (HaltedError, StatusCode.FAILED_PRECONDITION),
    (PeerError, StatusCode.INVALID_ARGUMENT),
    (UnsupportedVersion, StatusCode.FAILED_PRECONDITION),
    (MalformedMessage, StatusCode.INVALID_ARGUMENT),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A status, its public text, and the trailing metadata that goes with it."""

    status: StatusCode
    text: str
    metadata: tuple[tuple[str, str], ...] = ()


def translate(error: BaseException) -> Failure:
    """What the caller is told; what it is not told goes to the log."""
    if isinstance(error, DecodeError):
        return Failure(StatusCode.INVALID_ARGUMENT, "the message is not valid protobuf")
    for kind, status in _CATALOGUE:
        if isinstance(error, kind):
            return Failure(status, str(error), _metadata(error))
    _LOG.error("event=call_failed error=%s at=%s", type(error).__name__, place(error))
    return Failure(StatusCode.INTERNAL, "internal error")


@asynccontextmanager
async def told(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Whatever goes wrong within is told to the caller, and ends the call."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the border where errors become statuses
        failure = translate(error)
        await context.abort(failure.status, failure.text, failure.metadata)


def _metadata(error: BaseException) -> tuple[tuple[str, str], ...]:
    match error:
        case BusyError() | DrainingError():
            return ((RETRY_AFTER_KEY, str(error.retry_after_ms)),)
        case _:
            return ()
