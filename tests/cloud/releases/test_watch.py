"""News of a repository over real gRPC: at once, once for each change, until the cloud goes down."""

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from outrider_protos.errors import RETRY_AFTER_KEY
from outrider_protos.v1 import drafts_pb2 as pb
from tests.simulators.channel import MALFORMED, WAIT_S, Channel, refusal, report, run
from tests.simulators.repository import SimulatedRepository


@pytest.mark.parametrize("known", [0, 7])
def test_news_come_at_once_where_a_device_is_behind(
    repository: SimulatedRepository, known: int
) -> None:
    async def scene(channel: Channel) -> list[int]:
        watch = channel.watch(known)
        told = [await watch.version()]
        repository.sign()
        told.append(await watch.version())
        repository.sign()
        told.append(await watch.version())
        return told

    assert run(repository, scene) == [1, 2, 3]


def test_without_news_nothing_is_said(repository: SimulatedRepository) -> None:
    async def scene(channel: Channel) -> int:
        watch = channel.watch(1)
        read = asyncio.create_task(watch.version())
        done, _ = await asyncio.wait((read,), timeout=2.5)
        assert not done
        repository.sign()
        return await read

    assert run(repository, scene) == 2


@pytest.mark.parametrize(
    "version", [1 << 32, 1 << 64, 10**230], ids=lambda version: len(str(version))
)
def test_a_version_may_be_any_number(repository: SimulatedRepository, version: int) -> None:
    """As after a theft: the owner of the keys goes on from what the thief has signed."""
    repository.version = version
    newest = repository.sign()

    async def scene(channel: Channel) -> None:
        watch = channel.watch(version)
        assert await watch.version() == newest
        assert await channel.fetch(f"metadata/{newest}.snapshot.json")
        await channel.report(report(pb.DRAFT_STATE_COMMITTED))
        assert repository.sign() == await watch.version() == newest + 1

    run(repository, scene)


def test_endless_digits_are_refused(repository: SimulatedRepository) -> None:
    async def scene(channel: Channel) -> None:
        call = channel.stub.Watch(pb.WatchRequest(known="9" * 5000), timeout=WAIT_S)
        assert await refusal(call.read()) is MALFORMED

    run(repository, scene)


def test_metadata_that_cannot_be_read_are_no_news(repository: SimulatedRepository) -> None:
    timestamp = repository.folder / "metadata" / "timestamp.json"

    async def scene(channel: Channel) -> int:
        watch = channel.watch(1)
        timestamp.write_text("{")
        await asyncio.sleep(1.5)
        repository.sign()
        return await watch.version()

    assert run(repository, scene) == 2


def test_a_repository_may_be_published_later(tmp_path: Path) -> None:
    repository = SimulatedRepository(tmp_path / "repository")

    async def scene(channel: Channel) -> int:
        watch = channel.watch()
        repository.sign()
        return await watch.version()

    assert run(repository, scene) == 1


def test_a_drain_ends_watching_and_says_when_to_come_back(
    repository: SimulatedRepository,
) -> None:
    async def scene(channel: Channel) -> None:
        watch = channel.watch(1)
        await asyncio.sleep(0.2)
        drained = asyncio.create_task(channel.server.drain(WAIT_S * 10))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await watch.version()
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert RETRY_AFTER_KEY in dict(ended.value.trailing_metadata())
        await asyncio.wait_for(drained, WAIT_S)

    run(repository, scene)


def test_health_knows_the_channel(repository: SimulatedRepository) -> None:
    async def scene(channel: Channel) -> int:
        address = f"localhost:{channel.server.address.port}"
        async with grpc.aio.insecure_channel(address) as wire:
            request = health_pb2.HealthCheckRequest(service="outrider.v1.DraftChannel")
            reply = await health_pb2_grpc.HealthStub(wire).Check(request, timeout=WAIT_S)
            return int(reply.status)

    assert run(repository, scene) == health_pb2.HealthCheckResponse.SERVING
