"""The server around the service: who gets in, what is told before that, and how it goes away."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from outrider_cloud.config import ServeConfig
from outrider_cloud.errors import ConfigError
from outrider_cloud.port import bind
from outrider_protos.errors import RETRY_AFTER_KEY
from outrider_protos.v1 import outrider_pb2, outrider_pb2_grpc
from outrider_protos.words import Finish, GoAway
from tests.simulators.serving import (
    DESCRIPTION,
    LOCAL,
    PROMPT,
    WAIT_S,
    Cloud,
    HeldTarget,
    running_cloud,
)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
GOING_DOWN = (grpc.StatusCode.UNAVAILABLE, "the cloud is going down")


async def describe(cloud: Cloud, *authorization: str) -> outrider_pb2.Description:
    stub = outrider_pb2_grpc.VerifierStub(cloud.channel)
    metadata = tuple(("authorization", shown) for shown in authorization)
    description = await stub.Describe(
        outrider_pb2.DescribeRequest(), metadata=metadata, timeout=WAIT_S
    )
    assert isinstance(description, outrider_pb2.Description)
    return description


async def health(cloud: Cloud, service: str = "outrider.v1.Verifier") -> int:
    stub = health_pb2_grpc.HealthStub(cloud.channel)
    reply = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=WAIT_S)
    return int(reply.status)


@pytest.fixture
def tokens(tmp_path: Path) -> ServeConfig:
    path = tmp_path / "tokens"
    path.write_text("# name token\nanna secret-of-anna\n\nbert secret-of-bert\n")
    return LOCAL.model_copy(update={"token_file": path})


def test_describe_says_what_the_target_is() -> None:
    async def scene() -> outrider_pb2.Description:
        async with running_cloud() as cloud:
            return await describe(cloud)

    assert asyncio.run(scene()) == DESCRIPTION


def test_reflection_lists_the_services() -> None:
    async def scene() -> set[str]:
        async with running_cloud() as cloud:
            stub = reflection_pb2_grpc.ServerReflectionStub(cloud.channel)
            call = stub.ServerReflectionInfo(timeout=WAIT_S)
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            reply = await call.read()
            return {service.name for service in reply.list_services_response.service}

    assert {"outrider.v1.Verifier", "grpc.health.v1.Health"} <= asyncio.run(scene())


def test_health_knows_the_server_and_the_service() -> None:
    async def scene() -> list[int]:
        async with running_cloud() as cloud:
            return [await health(cloud), await health(cloud, "")]

    assert asyncio.run(scene()) == [SERVING, SERVING]


@pytest.mark.parametrize(
    "shown",
    [
        (),
        ("Bearer secret-of-nobody",),
        ("Bearer ",),
        ("secret-of-anna",),
        ("Bearer secret-of-anna ",),
        ("bearer secret-of-anna",),
        ("Bearer secret-of-annb",),
    ],
    ids=["none", "unknown", "empty", "no scheme", "longer", "scheme in small letters", "close"],
)
def test_without_a_known_token_nothing_is_told(tokens: ServeConfig, shown: tuple[str, ...]) -> None:
    async def scene() -> None:
        async with running_cloud(config=tokens) as cloud:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await describe(cloud, *shown)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "secret" not in str(refused.value.details())

    asyncio.run(scene())


def test_a_stream_without_a_token_is_refused_before_its_first_word(tokens: ServeConfig) -> None:
    async def scene() -> grpc.StatusCode:
        async with running_cloud(config=tokens) as cloud:
            return (await cloud.stream().failure())[0]

    assert asyncio.run(scene()) is grpc.StatusCode.UNAUTHENTICATED


def test_a_known_token_gets_in_and_health_needs_none(tokens: ServeConfig) -> None:
    async def scene() -> tuple[str, int]:
        async with running_cloud(config=tokens) as cloud:
            described = await describe(cloud, "Bearer secret-of-bert")
            return described.target_id, await health(cloud)

    assert asyncio.run(scene()) == ("simulated", SERVING)


def test_a_session_belongs_to_its_owner(tokens: ServeConfig) -> None:
    async def scene() -> list[int]:
        async with running_cloud(config=tokens) as cloud:
            annas = cloud.stream(token="secret-of-anna")
            first = await annas.begin()
            berts = await cloud.stream(token="secret-of-bert").begin()
            again = await cloud.stream(token="secret-of-anna").begin()
            return [first.have, berts.have, again.have]

    assert asyncio.run(scene()) == [0, 0, len(PROMPT)]


def test_draining_says_go_away_then_unavailable_and_health_turns() -> None:
    async def scene() -> None:
        async with running_cloud() as cloud:
            stream = cloud.stream()
            await stream.begin()
            watch = health_pb2_grpc.HealthStub(cloud.channel).Watch(
                health_pb2.HealthCheckRequest(service="outrider.v1.Verifier"), timeout=WAIT_S
            )
            assert (await watch.read()).status == SERVING
            drained = asyncio.create_task(cloud.server.drain(0.2))
            assert (await watch.read()).status == NOT_SERVING
            word = await stream.hear_next(GoAway)
            assert word.retry_after_ms > 0
            assert await stream.failure() == GOING_DOWN
            assert RETRY_AFTER_KEY in dict(await stream.call.trailing_metadata())
            await asyncio.wait_for(drained, WAIT_S / 2)

    asyncio.run(scene())


def test_an_answer_that_is_being_written_ends_within_the_grace_period() -> None:
    async def scene() -> None:
        target = HeldTarget()
        async with running_cloud(target) as cloud:
            stream = cloud.stream()
            await stream.begin(patience_ms=0.0, run_ahead=100)
            assert await asyncio.to_thread(target.busy.wait, WAIT_S)
            drained = asyncio.create_task(cloud.server.drain(10 * WAIT_S))
            assert await cloud.stream().failure() == GOING_DOWN
            target.go.set()
            await stream.hear_next(Finish)
            await stream.call.done_writing()
            await asyncio.wait_for(drained, WAIT_S / 2)

    asyncio.run(scene())


def test_a_drain_does_not_wait_longer_for_a_stuck_forward_than_it_may() -> None:
    async def scene() -> None:
        target = HeldTarget()
        async with running_cloud(target) as cloud:
            stream = cloud.stream()
            await stream.begin()
            assert await asyncio.to_thread(target.busy.wait, WAIT_S)
            drained = asyncio.create_task(cloud.server.drain(0.5))
            await asyncio.wait_for(drained, WAIT_S / 2)
            assert await stream.failure() == GOING_DOWN
            target.go.set()

    asyncio.run(scene())


def test_a_draining_server_takes_no_new_stream() -> None:
    async def scene() -> None:
        target = HeldTarget()
        async with running_cloud(target) as cloud:
            stream = cloud.stream()
            await stream.begin()
            assert await asyncio.to_thread(target.busy.wait, WAIT_S)
            drained = asyncio.create_task(cloud.server.drain(10 * WAIT_S))
            assert await asyncio.wait_for(cloud.stream().failure(), WAIT_S / 2) == GOING_DOWN
            stream.call.cancel()
            target.go.set()
            await asyncio.wait_for(drained, WAIT_S / 2)

    asyncio.run(scene())


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def outside(tokens: ServeConfig, authority: trustme.CA, tmp_path: Path) -> ServeConfig:
    """May listen anywhere."""
    issued = authority.issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    paths = {"tls_cert": cert, "tls_key": key}
    return tokens.model_copy(update={"listen": "0.0.0.0:0", **paths})


def test_beyond_loopback_tls_and_a_token_get_in(
    outside: ServeConfig, authority: trustme.CA
) -> None:
    async def scene() -> str:
        trust = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        async with running_cloud(config=outside, credentials=trust) as cloud:
            return (await describe(cloud, "Bearer secret-of-anna")).target_id

    assert asyncio.run(scene()) == "simulated"


def test_plain_text_does_not_get_through_tls(outside: ServeConfig) -> None:
    async def scene() -> grpc.StatusCode:
        async with running_cloud(config=outside) as cloud:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await describe(cloud, "Bearer secret-of-anna")
            return refused.value.code()

    assert asyncio.run(scene()) is grpc.StatusCode.UNAVAILABLE


def test_a_strange_authority_is_not_trusted(outside: ServeConfig) -> None:
    async def scene() -> grpc.StatusCode:
        trust = grpc.ssl_channel_credentials(trustme.CA().cert_pem.bytes())
        async with running_cloud(config=outside, credentials=trust) as cloud:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await describe(cloud, "Bearer secret-of-anna")
            return refused.value.code()

    assert asyncio.run(scene()) is grpc.StatusCode.UNAVAILABLE


def refusal(config: ServeConfig) -> str:
    """Why the port is not opened."""

    async def attempt() -> None:
        await bind(config)

    with pytest.raises(ConfigError) as refused:
        asyncio.run(attempt())
    return str(refused.value)


@pytest.mark.parametrize("missing", ["tls_cert", "tls_key", "token_file"])
@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.7:0", "example.org:0"])
def test_beyond_loopback_nothing_may_be_missing(
    outside: ServeConfig, missing: str, listen: str
) -> None:
    said = refusal(outside.model_copy(update={missing: None, "listen": listen}))
    assert f"(missing: --{missing.replace('_', '-')})" in said


def spoil(path: str) -> Callable[[ServeConfig], ServeConfig]:
    def change(config: ServeConfig) -> ServeConfig:
        getattr(config, path).write_text("nonsense")
        return config

    return change


def lose(path: str) -> Callable[[ServeConfig], ServeConfig]:
    def change(config: ServeConfig) -> ServeConfig:
        getattr(config, path).unlink()
        return config

    return change


@pytest.mark.parametrize("change", [spoil, lose])
@pytest.mark.parametrize("path", ["tls_cert", "tls_key", "token_file"])
def test_files_that_cannot_be_used_are_named(
    outside: ServeConfig,
    change: Callable[[str], Callable[[ServeConfig], ServeConfig]],
    path: str,
) -> None:
    file = getattr(outside, path)
    assert str(file) in refusal(change(path)(outside))


def test_half_a_certificate_is_refused_on_loopback_too(outside: ServeConfig) -> None:
    said = refusal(outside.model_copy(update={"listen": "127.0.0.1:0", "tls_key": None}))
    assert "--tls-cert and --tls-key" in said


def test_a_port_in_use_is_said_so() -> None:
    async def scene() -> None:
        async with running_cloud() as cloud:
            taken = LOCAL.model_copy(update={"listen": str(cloud.server.address)})
            with pytest.raises(ConfigError, match="in use"):
                await bind(taken)

    asyncio.run(scene())
