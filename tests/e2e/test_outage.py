"""The cloud goes away in the middle: exact mode waits and resumes, Big-Little goes on alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from outrider_edge.client import Address
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device, DeviceSettings
from outrider_edge.errors import CloudUnavailable
from outrider_edge.events import Origin
from outrider_edge.generation import Endurance
from outrider_edge.options import Mode, Options
from outrider_edge.policy import Fallback, Shape
from outrider_edge.review import review
from tests.e2e.pair import CloudProcess, Judge, prompts
from tests.simulators.relay import Relay

IMPATIENT = Endurance(resume_s=1.0, unverified_s=0.2)
STEPWISE = Shape(span=1, window=1)  # many small commits, so that there is a middle to break in
CHUNKS = 6


@contextmanager
def through_relay(cloud: str) -> Iterator[tuple[Device, Relay]]:
    with Relay(cloud) as relay:
        settings = DeviceSettings(draft=SHIPPED_DRAFT, cloud=Address(target=relay.address))
        with Device(settings) as device:
            yield device, relay


def test_exact_mode_resumes_where_it_was(cloud: str) -> None:
    (prompt,) = prompts("english", count=1)
    with through_relay(cloud) as (device, relay):
        session = device.session(Options(max_tokens=80, shape=STEPWISE))
        whole = session.ask(prompt).result()
        session.messages.clear()
        relay.cut_after(CHUNKS, heal_to=cloud)
        result = session.ask(prompt).result()
        assert result.text == whole.text
        assert (whole.tally.connects, result.tally.connects) == (1, 2)
        session.close()


def test_another_replica_derives_the_same_continuation(cloud: str) -> None:
    (prompt,) = prompts("english", count=1)
    with CloudProcess("demo") as other, through_relay(cloud) as (device, relay):
        options = Options(max_tokens=80, temperature=0.9, seed=3, shape=STEPWISE)
        session = device.session(options)
        whole = session.ask(prompt).result()
        session.messages.clear()
        relay.cut_after(CHUNKS, heal_to=other.address)
        result = session.ask(prompt).result()
        assert result.text == whole.text
        assert result.tally.connects == 2
        session.close()


def test_exact_mode_fails_with_what_was_committed(cloud: str) -> None:
    (prompt,) = prompts("english", count=1)
    with through_relay(cloud) as (device, relay):
        session = device.session(Options(max_tokens=80, endurance=IMPATIENT, shape=STEPWISE))
        whole = session.ask(prompt).result()
        session.messages.clear()
        relay.cut_after(CHUNKS, heal_to=None)
        answer = session.ask(prompt)
        with pytest.raises(CloudUnavailable):
            answer.result()
        partial = answer.partial
        assert partial is not None
        assert partial.text
        assert whole.text.startswith(partial.text)
        assert len(partial.text) < len(whole.text)
        session.close()


def test_a_way_that_falls_silent_is_noticed(cloud: str) -> None:
    """Nothing says that it broke: left alone, gRPC would take a minute to notice."""
    (prompt,) = prompts("english", count=1)
    with through_relay(cloud) as (device, relay):
        options = Options(mode=Mode.BIG_LITTLE, max_tokens=80, endurance=IMPATIENT, shape=STEPWISE)
        session = device.session(options)
        session.ask(prompt).result()
        relay.fall_silent()
        began_s = time.monotonic()
        result = session.ask("And if nobody answers?").result()
        assert time.monotonic() - began_s < 30
        assert result.unverified
        relay.cut()
        session.close()


def test_big_little_goes_on_alone_and_is_judged_later(cloud: str, judge: Judge) -> None:
    (prompt,) = prompts("english", count=1)
    with through_relay(cloud) as (device, relay):
        options = Options(
            mode=Mode.BIG_LITTLE,
            max_tokens=80,
            endurance=IMPATIENT,
            shape=STEPWISE,
            fallback=Fallback(threshold=0.99),
        )
        session = device.session(options)
        relay.cut_after(CHUNKS, heal_to=None)
        result = session.ask(prompt).result()
        assert result.unverified
        assert result.text.endswith(result.unverified)
        assert Origin.UNVERIFIED in result.origins
        assert session.messages[-1].content == result.text
        with pytest.raises(CloudUnavailable):
            review(device, result)
        relay.heal()
        found = review(device, result)
        assert len(found.tokens) == result.unverified_tokens
        log = result.prompt + result.tokens
        for position, choice in enumerate(found.choices, found.start):
            alone = judge.reference.generate(log[:position], result.sampling, position + 1)
            assert [choice] == alone
        assert "".join(session.ask(prompt))
        session.close()
