"""The Decode stream over real gRPC: words get through, and nothing a device does harms another."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from outrider_cloud.engine import Verdict, Work
from outrider_cloud.verifier import VerifierSettings
from outrider_protos.errors import RETRY_AFTER_KEY
from outrider_protos.limits import MAX_MESSAGE_BYTES
from outrider_protos.v1 import outrider_pb2, outrider_pb2_grpc
from outrider_protos.words import (
    Append,
    Cancel,
    Close,
    Commit,
    Finish,
    FinishReason,
    GoAway,
    Propose,
    Wants,
)
from tests.simulators.serving import (
    PROMPT,
    WAIT_S,
    Cloud,
    HeldTarget,
    Stream,
    opening,
    running_cloud,
)
from tests.simulators.target import SMALL, SimulatedTarget

_Result = TypeVar("_Result")

WORDY = Wants(choices=True, logprobs=True, timings=True)
NARROW = (("grpc.http2.bdp_probe", 0),)  # the network holds 64 KiB for a reader, never more
LARGE = replace(SMALL, pages=4096, context_tokens=8192)


class BrokenTarget(SimulatedTarget):
    """Fails in a way that no engine may."""

    def forward(self, batch: Sequence[Work]) -> list[Verdict | None]:
        raise ZeroDivisionError("a secret")


async def decode(stream: Stream, log: list[int]) -> FinishReason:
    """Ask for one token after the other until the cloud ends the text."""
    for epoch in range(1, 1000):
        await stream.say(Propose(epoch, len(log), 1, ()))
        commit = await stream.hear()
        assert isinstance(commit, Commit)
        log += commit.tokens
        assert commit.length == len(log)
        if log[-1] in SMALL.end_ids or len(log) == opening().max_length:
            return (await stream.hear_next(Finish)).reason
    raise AssertionError("the text does not end")


async def health(cloud: Cloud) -> int:
    stub = health_pb2_grpc.HealthStub(cloud.channel)
    reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=WAIT_S)
    return int(reply.status)


async def answers(cloud: Cloud, name: bytes = b"another session!") -> bool:
    """Whether a stream of its own still gets the target's text."""
    stream, log = cloud.stream(), list(PROMPT)
    await stream.begin(log, session=name)
    await decode(stream, log)
    stream.call.cancel()
    return tuple(log[len(PROMPT) :]) == SimulatedTarget().alone(PROMPT, max_length=60).tokens


async def once_free(attempt: Callable[[], Awaitable[_Result]]) -> _Result:
    """What succeeds as soon as the server knows that a stream has left."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # refused
                return await attempt()
            await asyncio.sleep(0.01)


def test_the_stream_gives_what_the_target_writes_alone() -> None:
    async def scene() -> None:
        target = SimulatedTarget()
        async with running_cloud(target) as cloud:
            stream, log = cloud.stream(), list(PROMPT)
            await stream.begin()
            reason = await decode(stream, log)
        alone = target.alone(PROMPT, max_length=60)
        assert tuple(log[len(PROMPT) :]) == alone.tokens
        assert reason is alone.reason

    asyncio.run(scene())


def test_a_right_proposal_is_committed_by_its_node() -> None:
    async def scene() -> None:
        target = SimulatedTarget()
        text = target.alone(PROMPT, max_length=60).tokens
        async with running_cloud(target) as cloud:
            stream = cloud.stream()
            await stream.begin()
            await stream.say(Propose(1, 3, 1, text[:4]))
            commit = await stream.hear_next(Commit)
            while commit.node == 0:  # the token that the prompt itself gave
                commit = await stream.hear_next(Commit)
        assert text[: commit.node] + commit.tokens == text[: commit.length - len(PROMPT)]

    asyncio.run(scene())


def test_many_streams_at_once_get_what_each_gets_alone() -> None:
    async def one(cloud: Cloud, number: int) -> bool:
        log = [number % 11 + 1, number % 5 + 1]
        prompt = tuple(log)
        stream = cloud.stream()
        await stream.begin(log, session=bytes([number] * 16))
        await decode(stream, log)
        return tuple(log[2:]) == SimulatedTarget().alone(prompt, max_length=60).tokens

    async def scene() -> list[bool]:
        async with running_cloud() as cloud:
            return await asyncio.gather(*(one(cloud, number) for number in range(12)))

    assert asyncio.run(scene()) == [True] * 12


def test_cancel_ends_the_generation_and_the_stream_serves_the_next_one() -> None:
    async def scene() -> tuple[object, int]:
        async with running_cloud() as cloud:
            stream = cloud.stream()
            await stream.begin()
            await stream.say(Cancel())
            finish = await stream.hear_next(Finish)
            opened = await stream.begin()
            return finish, opened.have

    assert asyncio.run(scene()) == (Finish(FinishReason.CANCELLED), len(PROMPT))


def test_a_closed_session_is_forgotten() -> None:
    async def scene() -> int:
        async with running_cloud() as cloud:
            stream = cloud.stream()
            await stream.begin()
            await stream.say(Close())
            return (await stream.begin()).have

    assert asyncio.run(scene()) == 0


def test_a_session_outlives_its_stream() -> None:
    async def scene() -> int:
        async with running_cloud() as cloud:
            log = list(PROMPT)
            stream = cloud.stream()
            await stream.begin(log)
            await stream.say(Propose(1, 3, 1, ()))
            commit = await stream.hear()
            assert isinstance(commit, Commit)
            log += commit.tokens
            stream.call.cancel()
            return (await cloud.stream().begin(log)).have

    assert asyncio.run(scene()) == len(PROMPT) + 1


def test_a_device_that_half_closes_gets_an_orderly_end() -> None:
    async def scene() -> grpc.StatusCode:
        async with running_cloud() as cloud:
            stream = cloud.stream()
            await stream.begin()
            await stream.call.done_writing()
            return (await stream.failure())[0]

    assert asyncio.run(scene()) is grpc.StatusCode.OK


def test_the_newest_stream_of_a_session_wins() -> None:
    async def scene() -> tuple[object, int]:
        async with running_cloud() as cloud:
            older, newer = cloud.stream(), cloud.stream()
            await older.begin()
            have = (await newer.begin()).have
            return await older.hear_next(Finish), have

    assert asyncio.run(scene()) == (Finish(FinishReason.SUPERSEDED), len(PROMPT))


def test_health_and_cancel_stay_alive_while_a_forward_runs() -> None:
    async def scene() -> None:
        target = HeldTarget()
        async with running_cloud(target) as cloud:
            stream = cloud.stream()
            await stream.begin()
            await stream.say(Propose(1, 3, 1, ()))
            assert await asyncio.to_thread(target.busy.wait, WAIT_S)
            assert await health(cloud) == health_pb2.HealthCheckResponse.SERVING
            stream.call.cancel()
            target.go.set()
            assert await answers(cloud)

    asyncio.run(scene())


def test_the_load_is_told_while_a_forward_runs() -> None:
    async def scene() -> None:
        target = HeldTarget()
        async with running_cloud(target) as cloud:
            ask = outrider_pb2_grpc.VerifierStub(cloud.channel).ReportLoad
            before = await ask(outrider_pb2.LoadRequest())
            assert (before.busy, before.streams) == (0.0, 0)
            stream = cloud.stream()
            await stream.begin()
            await stream.say(Propose(1, 3, 1, ()))
            assert await asyncio.to_thread(target.busy.wait, WAIT_S)
            first, second = [await ask(outrider_pb2.LoadRequest()) for _ in range(2)]
            assert 0 < first.busy < second.busy < 1
            assert first.streams == 1
            target.go.set()
            await stream.hear()
            rested = (await ask(outrider_pb2.LoadRequest())).busy
            assert (await ask(outrider_pb2.LoadRequest())).busy == rested

    asyncio.run(scene())


def test_streams_are_bounded_and_a_place_is_free_once_one_leaves() -> None:
    async def scene() -> None:
        async with running_cloud(settings=VerifierSettings(max_streams=1)) as cloud:
            first = cloud.stream()
            await first.begin()
            second = cloud.stream()
            assert (await second.failure())[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            metadata = dict(await second.call.trailing_metadata())
            assert int(metadata[RETRY_AFTER_KEY]) > 0
            first.call.cancel()
            assert await once_free(lambda: answers(cloud))

    asyncio.run(scene())


def test_a_passed_deadline_frees_the_stream() -> None:
    async def scene() -> None:
        async with running_cloud(settings=VerifierSettings(max_streams=1)) as cloud:
            late = cloud.stream(timeout_s=0.3)
            await late.begin()
            assert (await late.failure())[0] is grpc.StatusCode.DEADLINE_EXCEEDED
            assert await once_free(lambda: answers(cloud))

    asyncio.run(scene())


def message(**fields: object) -> bytes:
    opened = outrider_pb2.Open(
        session=bytes(16), length=1, digest=bytes(16), max_length=9, version=1
    )
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(opened, name).extend(value)
        else:
            setattr(opened, name, value)
    return outrider_pb2.DeviceMessage(open=opened).SerializeToString()


@pytest.mark.parametrize(
    ("frame", "status", "said"),
    [
        (b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, "protobuf"),
        (b"", grpc.StatusCode.INVALID_ARGUMENT, "empty"),
        (message(length=0), grpc.StatusCode.INVALID_ARGUMENT, "length"),
        (message(version=9), grpc.StatusCode.FAILED_PRECONDITION, "version"),
        (message(settings=["logit_bias"]), grpc.StatusCode.INVALID_ARGUMENT, "logit_bias"),
        (message(max_length=1, length=2), grpc.StatusCode.INVALID_ARGUMENT, "max_length"),
        (b"\x22\x02\x08\x01", grpc.StatusCode.INVALID_ARGUMENT, "Open"),
        (bytes(MAX_MESSAGE_BYTES + 1), grpc.StatusCode.RESOURCE_EXHAUSTED, ""),
    ],
    ids=["garbage", "empty", "range", "version", "setting", "order", "ack first", "huge"],
)
def test_bad_messages_are_refused_by_name_and_the_server_lives_on(
    frame: bytes, status: grpc.StatusCode, said: str
) -> None:
    async def scene() -> None:
        async with running_cloud() as cloud:
            decode: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
            decode = cloud.channel.stream_stream("/outrider.v1.Verifier/Decode")
            call = decode(timeout=WAIT_S)
            await call.write(frame)
            assert await call.code() is status
            assert said in await call.details()
            assert await answers(cloud)

    asyncio.run(scene())


def test_a_token_the_target_does_not_know_is_refused_without_naming_it() -> None:
    async def scene() -> tuple[grpc.StatusCode, str]:
        async with running_cloud() as cloud:
            stream = cloud.stream()
            await stream.say(opening((3, 777)), Append(0, (3, 777)))
            failure = await stream.failure()
            assert await answers(cloud)
            return failure

    status, text = asyncio.run(scene())
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert "777" not in text


def test_a_failed_forward_sends_the_device_away_and_the_next_try_succeeds() -> None:
    async def scene() -> None:
        target = SimulatedTarget()
        async with running_cloud(target) as cloud:
            stream, log = cloud.stream(), list(PROMPT)
            target.failing = True
            await stream.begin()
            await stream.say(Propose(1, 3, 1, ()))
            await stream.hear_next(GoAway)
            await stream.begin()
            await decode(stream, log)
            alone = target.alone(PROMPT, max_length=60)
        assert tuple(log[len(PROMPT) :]) == alone.tokens

    asyncio.run(scene())


def test_a_dead_model_thread_ends_streams_without_saying_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> tuple[grpc.StatusCode, str]:
        async with running_cloud(BrokenTarget()) as cloud:
            stream = cloud.stream()
            await stream.begin()
            await stream.say(Propose(1, 3, 1, ()))
            await asyncio.wait_for(cloud.server.crash(), WAIT_S)
            return await stream.failure()

    with caplog.at_level(logging.INFO):
        assert asyncio.run(scene()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert "event=worker_crashed error=ZeroDivisionError at=test_service.py:" in caplog.text
    assert "a secret" not in caplog.text


def test_the_log_says_whose_stream_ended_how_and_nothing_of_its_tokens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        async with running_cloud() as cloud:
            stream = cloud.stream()
            await stream.begin(session=b"a unique session")
            await stream.say(Append(0, (71, 72, 73)), Cancel())
            await stream.hear_next(Finish)
            await stream.call.done_writing()
            await stream.failure()

    with caplog.at_level(logging.DEBUG, logger="outrider_cloud"):
        asyncio.run(scene())
    said = [record.getMessage() for record in caplog.records if "outrider" in record.name]
    assert any(line.startswith("event=stream_ended owner=local status=OK") for line in said)
    assert not any(word in line for line in said for word in ("71, 72", "unique", "3, 1, 4"))


def test_a_device_that_does_not_read_loses_its_stream_but_not_its_session() -> None:
    async def scene() -> None:
        target = SimulatedTarget(LARGE, end_logit=-100.0)
        bounds = VerifierSettings(max_streams=1)
        async with running_cloud(target, settings=bounds, options=NARROW) as cloud:
            slow = cloud.stream()
            # The cloud decodes by itself; a commit a token, none of them read.
            terms = opening(max_length=8000, patience_ms=0.0, run_ahead=4096, wants=WORDY)
            await slow.say(terms, Append(0, PROMPT))
            assert await once_free(lambda: answers(cloud))
            status, text = await slow.failure()
            assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "waiting to be read" in text
            opened = await once_free(lambda: cloud.stream().begin())
            assert opened.have == len(PROMPT)

    asyncio.run(scene())


def test_a_device_that_floods_is_not_read_from_until_it_is_heard() -> None:
    async def scene() -> None:
        target = HeldTarget()
        async with running_cloud(target) as cloud:
            stream = cloud.stream()
            await stream.begin()
            await stream.say(Propose(1, 3, 1, ()))
            assert await asyncio.to_thread(target.busy.wait, WAIT_S)
            flood = asyncio.create_task(send(stream))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(flood), 1.0)
            target.go.set()
            await asyncio.wait_for(flood, WAIT_S)
            assert isinstance(await stream.hear(), Commit)

    async def send(stream: Stream) -> None:
        padded = outrider_pb2.DeviceMessage.FromString(
            outrider_pb2.DeviceMessage(ack=outrider_pb2.Ack(length=3)).SerializeToString()
            + b"\xfa\x3f\x80\x80\x10"  # an unknown field of 256 KiB
            + bytes(1 << 18)
        )
        for _ in range(200):
            await stream.call.write(padded)

    asyncio.run(scene())
