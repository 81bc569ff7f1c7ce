"""What a device makes of a call that fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.errors import CloudUnavailable
from outrider_edge.ledger import Meter
from outrider_protos.errors import RETRY_AFTER_KEY

WAIT_S = 20.0


@contextmanager
def refusal(retry_after: str) -> Iterator[CloudClient]:
    """A cloud that is busy, and says until when."""

    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(((RETRY_AFTER_KEY, retry_after),))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")

    server = grpc.server(ThreadPoolExecutor(1))
    handlers: dict[str, Any] = {"Describe": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_registered_method_handlers("outrider.v1.Verifier", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    network = Network()
    client = CloudClient(network, Address(target=f"127.0.0.1:{port}"), Meter(), local_only=False)
    try:
        yield client
    finally:
        client.close()
        network.close()
        server.stop(None)


@pytest.mark.parametrize(
    ("said", "understood_s"),
    [("1500", 1.5), ("0", 0.0), ("soon", None), ("-3", None), ("", None), ("9" * 5000, None)],
)
def test_a_busy_cloud_says_when_to_come_back(said: str, understood_s: float | None) -> None:
    with refusal(said) as client, pytest.raises(CloudUnavailable) as refused:
        client.describe(WAIT_S)
    assert refused.value.retry_after_s == understood_s
