"""What a device makes of a call that fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.errors import CloudRefused, CloudUnavailable
from outrider_edge.ledger import Meter
from outrider_protos.errors import RETRY_AFTER_KEY

WAIT_S = 20.0


@contextmanager
def refusal(
    retry_after: str = "", tls: grpc.ServerCredentials | None = None, ca: Path | None = None
) -> Iterator[CloudClient]:
    """A cloud that is busy, and says until when; how a device calls it."""

    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(((RETRY_AFTER_KEY, retry_after),))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")

    server = grpc.server(ThreadPoolExecutor(1))
    handlers: dict[str, Any] = {"Describe": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_registered_method_handlers("outrider.v1.Verifier", handlers)
    if tls is None:
        port = server.add_insecure_port("localhost:0")
    else:
        port = server.add_secure_port("localhost:0", tls)
    server.start()
    network = Network()
    address = Address(target=f"localhost:{port}", ca=ca)
    client = CloudClient(network, address, Meter(), local_only=False)
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


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    made, file = trustme.CA(), tmp_path / "ca.pem"
    made.cert_pem.write_to_path(file)
    return made, file


def credentials(authority: trustme.CA) -> grpc.ServerCredentials:
    issued = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])


def test_tls_by_the_same_authority_gets_through(authority: tuple[trustme.CA, Path]) -> None:
    with refusal("70", credentials(authority[0]), authority[1]) as client:
        with pytest.raises(CloudUnavailable) as refused:
            client.describe(WAIT_S)
        assert refused.value.retry_after_s == 0.07


@pytest.mark.parametrize("secure", [True, False], ids=["another authority", "no TLS"])
def test_what_tls_refuses_is_not_tried_again(
    authority: tuple[trustme.CA, Path], secure: bool
) -> None:
    strange = credentials(trustme.CA()) if secure else None
    with (
        refusal(tls=strange, ca=authority[1]) as client,
        pytest.raises(CloudRefused, match="do not agree on TLS"),
    ):
        client.describe(WAIT_S)
