"""Files of a repository over real gRPC: whole, in parts, while they change, and for many."""

import asyncio
import os
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outrider_cloud.releases.channel import PIECE_BYTES
from outrider_cloud.releases.places import MOST_FETCHES
from outrider_protos.errors import RETRY_AFTER_KEY
from outrider_protos.v1 import drafts_pb2 as pb
from tests.simulators.channel import ABSENT, BEYOND, MALFORMED, WAIT_S, Channel, refusal, run
from tests.simulators.repository import SimulatedRepository

LONG = os.urandom(3 * PIECE_BYTES + 77)


def test_files_are_served_and_others_are_not(repository: SimulatedRepository) -> None:
    stored = repository.add_release("main", 3, LONG)
    timestamp = repository.folder / "metadata" / "timestamp.json"

    async def scene(channel: Channel) -> None:
        assert await channel.fetch(stored) == LONG
        assert await channel.fetch("metadata/timestamp.json") == timestamp.read_bytes()
        assert await refusal(channel.fetch("metadata/7.root.json")) is ABSENT
        assert await refusal(channel.fetch("metadata/../secret")) is MALFORMED

    run(repository, scene)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(
    st.lists(
        st.tuples(st.integers(0, len(LONG) + 2), st.none() | st.integers(1, len(LONG) + 2)),
        min_size=1,
        max_size=10,
    )
)
def test_parts_are_what_the_file_has_there(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[tuple[int, int | None]]
) -> None:
    repository = SimulatedRepository(tmp_path_factory.mktemp("ranges") / "repository")
    stored = repository.add_release("main", 1, LONG)

    async def scene(channel: Channel) -> None:
        for first, count in ranges:
            if first > len(LONG):
                assert await refusal(channel.fetch(stored, first, count)) is BEYOND
            else:
                end = None if count is None else first + count
                assert await channel.fetch(stored, first, count) == LONG[first:end]

    run(repository, scene)


def test_senseless_ranges_are_refused(repository: SimulatedRepository) -> None:
    async def scene(channel: Channel) -> None:
        path = "metadata/timestamp.json"
        assert await refusal(channel.fetch(path, 0, 0)) is MALFORMED
        assert await refusal(channel.fetch(path, 1 << 63)) is BEYOND

    run(repository, scene)


def test_a_file_replaced_while_it_is_fetched_comes_whole(repository: SimulatedRepository) -> None:
    """Far more than the network takes in advance, so the server is still reading."""
    data = os.urandom(1 << 20) * 4
    stored = repository.add_release("main", 3, data)

    async def scene(channel: Channel) -> None:
        call = channel.stub.Fetch(pb.FetchRequest(path=stored), timeout=WAIT_S)
        pieces = aiter(call)
        got = [(await anext(pieces)).data]
        new = repository.folder / "new"
        new.write_bytes(bytes(len(data)))
        os.replace(new, repository.folder / stored)
        got += [piece.data async for piece in pieces]
        assert b"".join(got) == data
        assert max(map(len, got)) <= PIECE_BYTES

    run(repository, scene)


def test_one_owner_leaves_places_for_others(repository: SimulatedRepository, tokens: Path) -> None:
    """Readers that never read on: the file is longer than the network takes in advance."""
    stored = repository.add_release("main", 3, bytes(1 << 22))

    async def scene(channel: Channel) -> None:
        metadata = (("authorization", "Bearer of-anna"),)
        request = pb.FetchRequest(path=stored)
        held = [channel.stub.Fetch(request, metadata=metadata) for _ in range(MOST_FETCHES // 2)]
        for call in held:
            await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.fetch(stored, token="of-anna")
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert RETRY_AFTER_KEY in dict(refused.value.trailing_metadata())
        assert await channel.fetch(stored, 0, 5, token="of-bert") == bytes(5)
        for call in held:
            call.cancel()
        async with asyncio.timeout(WAIT_S):
            while True:  # as soon as the server knows that they have left
                try:
                    assert await channel.fetch(stored, 0, 5, token="of-anna") == bytes(5)
                    return
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.05)

    run(repository, scene, token_file=tokens)


def test_no_handle_stays_open_after_devices_left(repository: SimulatedRepository) -> None:
    stored = repository.add_release("main", 3, bytes(1 << 22))

    def opened() -> int:
        links = (os.path.realpath(f"/dev/fd/{name}") for name in os.listdir("/dev/fd"))
        return sum(stored.rsplit("/", 1)[1] in link for link in links)

    async def scene(channel: Channel) -> None:
        for number in range(40):
            call = channel.stub.Fetch(pb.FetchRequest(path=stored))
            if number % 2:
                await call.read()
                assert opened()
            else:
                await asyncio.sleep(number / 20_000)
            call.cancel()
        async with asyncio.timeout(WAIT_S):
            while opened():  # noqa: ASYNC110 - nobody says when a file is closed
                await asyncio.sleep(0.01)

    run(repository, scene)
