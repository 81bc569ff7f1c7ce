"""Closed early, twice or in the wrong order: the device stays alive and nobody waits."""

import asyncio
from collections.abc import Iterator

import pytest

from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device, DeviceSettings
from outrider_edge.errors import Cancelled
from outrider_edge.options import Mode, Options
from outrider_protos.words import FinishReason
from tests.e2e.pair import device_for, prompts

PROMPT = prompts("python", count=1)[0]
LONG = Options(temperature=30.0, seed=1, max_tokens=900)


def local(max_tokens: int = 20) -> Options:
    return Options(mode=Mode.LOCAL, temperature=30.0, seed=1, max_tokens=max_tokens)


@pytest.fixture
def alone() -> Iterator[Device]:
    with Device(DeviceSettings(draft=SHIPPED_DRAFT)) as device:
        yield device


def test_reading_may_stop_early(device: Device) -> None:
    with device.session(LONG) as session:
        answer = session.ask(PROMPT)
        first = next(iter(answer))
    assert answer.partial is not None
    assert answer.partial.text.startswith(first)
    assert answer.partial.reason is FinishReason.CANCELLED


def test_an_error_of_the_caller_is_the_one_that_is_seen(device: Device) -> None:
    with pytest.raises(ZeroDivisionError), device.session(LONG) as session:
        session.ask(PROMPT)
        raise ZeroDivisionError


def test_an_event_loop_may_end_before_its_answer_does(device: Device) -> None:
    with device.session(LONG) as session, device.session(Options(max_tokens=20)) as other:

        async def first_piece() -> str:
            async for piece in session.ask(PROMPT):
                return piece
            return ""

        assert asyncio.run(first_piece())
        assert other.ask(PROMPT).result().reason is not None


def test_a_closed_session_takes_no_questions(alone: Device) -> None:
    session = alone.session(local())
    session.close()
    session.close()
    for ask in (session.ask, session.complete):
        with pytest.raises(Cancelled, match="session was closed"):
            ask(PROMPT)


def test_a_closed_device_takes_no_questions(alone: Device) -> None:
    session = alone.session(local())
    answer = session.ask(PROMPT)
    answer.result()
    alone.close()
    alone.close()
    with pytest.raises(Cancelled, match="device was closed"):
        session.ask(PROMPT)
    with pytest.raises(Cancelled, match="device was closed"):
        session.continue_from(answer.result().tokens)
    with pytest.raises(Cancelled, match="device was closed"):
        alone.session(local())
    session.close()


def test_closing_the_device_ends_what_is_being_written(cloud: str) -> None:
    with device_for(cloud) as device:
        answer = device.session(LONG).ask(PROMPT)
        next(iter(answer.events()))
        device.close()
        with pytest.raises(Cancelled):
            answer.result()
