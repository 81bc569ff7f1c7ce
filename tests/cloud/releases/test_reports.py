"""Reports of devices over real gRPC: what is taken, what is shown to whom, and what is halted."""

import asyncio
import os
from pathlib import Path

import grpc
import pytest

from outrider_cloud.releases.account import Account
from outrider_protos.release import Line, line_path
from outrider_protos.v1 import drafts_pb2 as pb
from tests.simulators.channel import ABSENT, HALTED, MALFORMED, Channel, refusal, report, run
from tests.simulators.repository import SimulatedRepository

ON_TRIAL, COMMITTED = pb.DRAFT_STATE_ON_TRIAL, pb.DRAFT_STATE_COMMITTED
REVERTED = pb.DRAFT_STATE_REVERTED
GOOD = {"answers": 3, "positions": 100, "agreed": 60, "agreed_before": 50}


def domain(name: str = "sums", /, **counts: int) -> pb.DomainAcceptance:
    return pb.DomainAcceptance(domain=name, **counts)


def test_a_later_report_replaces_an_earlier_one(repository: SimulatedRepository) -> None:
    async def scene(channel: Channel) -> pb.Fleet:
        device = os.urandom(16)
        await channel.report(report(ON_TRIAL, device=device, domains=[domain(**GOOD)]))
        await channel.report(report(ON_TRIAL, domains=[domain(**GOOD), domain("maps", **GOOD)]))
        more = {"answers": 9, "positions": 300, "agreed": 180, "agreed_before": 150}
        await channel.report(report(COMMITTED, device=device, domains=[domain(**more)]))
        return await channel.show()

    summed = {"answers": 12, "positions": 400, "agreed": 240, "agreed_before": 200}
    assert run(repository, scene) == pb.Fleet(
        devices=2,
        releases=[
            pb.ReleaseStanding(
                line="main",
                release=2,
                on_trial=1,
                committed=1,
                domains=[domain("maps", **GOOD), domain(**summed)],
            )
        ],
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": b"short"},
        {"device": bytes(17)},
        {"line": "../main"},
        {"line": "Main"},
        {"line": "main\n"},
        {"line": ""},
        {"release": 0},
        {"release": (1 << 32) - 1},
        {"state": pb.DRAFT_STATE_UNSPECIFIED},
        {"state": 9},
        {"domains": [domain(positions=1, agreed=2)]},
        {"domains": [domain(positions=1, agreed_before=2)]},
        {"domains": [domain(positions=1 << 41)]},
        {"domains": [domain(answers=1 << 41)]},
        {"domains": [domain("x" * 65)]},
        {"domains": [domain("ä" * 33)]},
        {"domains": [domain("a\x1b[2J")]},
        {"domains": [domain(), domain()]},
        {"domains": [domain(str(number)) for number in range(65)]},
    ],
    ids=str,
)
def test_senseless_reports_are_refused(
    repository: SimulatedRepository, wrong: dict[str, object]
) -> None:
    async def scene(channel: Channel) -> int:
        terms: dict[str, object] = {"state": COMMITTED, "release": 2, **wrong}
        message = report(**terms)  # type: ignore[arg-type]
        assert await refusal(channel.report(message)) is MALFORMED
        return (await channel.show()).devices

    assert run(repository, scene) == 0


def test_only_releases_that_are_offered_are_reported_on(repository: SimulatedRepository) -> None:
    async def scene(channel: Channel) -> None:
        assert await refusal(channel.report(report(COMMITTED, release=3))) is ABSENT
        assert await refusal(channel.report(report(COMMITTED, line="other"))) is ABSENT
        repository.add_release("main", 3, b"third")
        repository.sign()
        await channel.report(report(COMMITTED, release=3))  # known at once

    run(repository, scene)


def test_a_line_that_says_what_none_can_hides_no_other(repository: SimulatedRepository) -> None:
    (repository.folder / "targets" / "thief").mkdir()
    repository.add(line_path("thief"), b'{"stable": 4294967296}')
    repository.add_release("main", 3, b"third draft")
    repository.sign()

    async def scene(channel: Channel) -> None:
        await channel.report(report(COMMITTED, release=3))

    run(repository, scene)


def test_a_device_may_leave_what_is_offered_no_more(repository: SimulatedRepository) -> None:
    """It went back, or was brought back by its user; otherwise it would count for ever."""

    async def scene(channel: Channel) -> pb.ReleaseStanding:
        device = os.urandom(16)
        await channel.report(report(COMMITTED, device=device))
        del repository.releases.targets["main/2.gguf"]
        await channel.watch(repository.sign() - 1).version()
        await asyncio.sleep(1.1)  # the releases are read right after the version
        await channel.report(report(REVERTED, device=device))
        return (await channel.show()).releases[0]

    standing = run(repository, scene)
    assert (standing.committed, standing.reverted) == (0, 1)


def test_an_owner_sees_its_own_devices(repository: SimulatedRepository, tokens: Path) -> None:
    async def scene(channel: Channel) -> list[int]:
        await channel.report(report(COMMITTED), token="of-anna")
        await channel.report(report(COMMITTED), token="of-anna")
        await channel.report(report(COMMITTED), token="of-bert")
        owners = ("of-anna", "of-bert", "of-carl")
        return [(await channel.show(token)).devices for token in owners]

    assert run(repository, scene, token_file=tokens) == [2, 1, 0]


async def end_badly(channel: Channel, devices: int, *owners: str | None, release: int = 2) -> None:
    for _ in range(devices):
        for owner in owners or (None,):
            await channel.report(report(REVERTED, release=release), token=owner)


def test_a_halted_release_is_withheld_with_all_its_forms(
    repository: SimulatedRepository,
) -> None:
    stored = {
        path.name.split(".", 1)[1]: f"targets/main/{path.name}"
        for path in (repository.folder / "targets" / "main").iterdir()
    }

    async def scene(channel: Channel) -> None:
        await end_badly(channel, 10)
        for name in ("2.gguf", "2.from-1.delta", "2.adapter.gguf"):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.fetch(stored[name])
            assert refused.value.code() is HALTED
            assert "release 2 of main is halted" in str(refused.value.details())
        assert await channel.fetch(stored["1.gguf"]) == b"first draft"
        assert await channel.fetch(stored["line.json"])
        assert await channel.fetch("metadata/timestamp.json")
        assert "badly" in (await channel.show()).releases[0].halted

    run(repository, scene)


def test_a_stable_release_is_served_though_it_is_halted(repository: SimulatedRepository) -> None:
    first = next((repository.folder / "targets" / "main").glob("*.1.gguf")).name
    second = next((repository.folder / "targets" / "main").glob("*.2.gguf")).name

    async def scene(channel: Channel) -> None:
        await end_badly(channel, 10, release=1)
        assert await channel.fetch(f"targets/main/{first}") == b"first draft"
        assert (await channel.show()).releases[0].halted
        await end_badly(channel, 10, release=2)
        assert await refusal(channel.fetch(f"targets/main/{second}")) is HALTED
        repository.set_line("main", Line(stable=2))
        watch = channel.watch(repository.sign() - 1)
        await watch.version()
        await asyncio.sleep(1.1)  # the line is read right after the version
        assert await channel.fetch(f"targets/main/{second}") == b"second draft"

    run(repository, scene)


def test_what_the_line_names_no_more_is_not_halted(repository: SimulatedRepository) -> None:
    """Known at once: no second passes between the replacement and what devices say of it."""
    second = next((repository.folder / "targets" / "main").glob("*.2.gguf")).name

    async def scene(channel: Channel) -> None:
        await channel.report(report(ON_TRIAL))
        repository.set_line("main", Line(stable=1))
        repository.sign()
        await end_badly(channel, 100)
        assert await channel.fetch(f"targets/main/{second}") == b"second draft"
        repository.set_line("main", Line(stable=1, next=2, percent=50))
        repository.sign()
        await end_badly(channel, 10)
        assert await refusal(channel.fetch(f"targets/main/{second}")) is HALTED

    run(repository, scene)


def test_no_single_token_halts_where_there_are_several(
    repository: SimulatedRepository, tokens: Path
) -> None:
    second = next((repository.folder / "targets" / "main").glob("*.2.gguf")).name
    path = f"targets/main/{second}"

    async def scene(channel: Channel) -> None:
        await end_badly(channel, 100, "of-anna")
        assert await channel.fetch(path, token="of-carl") == b"second draft"
        await end_badly(channel, 10, "of-bert")
        assert await refusal(channel.fetch(path, token="of-carl")) is HALTED

    run(repository, scene, token_file=tokens)


def test_a_restart_keeps_the_fleet(repository: SimulatedRepository, tmp_path: Path) -> None:
    file = tmp_path / "state" / "fleet.db"
    device = os.urandom(16)

    async def before(channel: Channel) -> pb.Fleet:
        await channel.report(report(ON_TRIAL, release=1, device=device, domains=[domain(**GOOD)]))
        await end_badly(channel, 10)
        return await channel.show()

    async def after(channel: Channel) -> pb.Fleet:
        found = await channel.show()
        await channel.report(report(COMMITTED, release=1, device=device))
        assert (await channel.show()).devices == found.devices
        return found

    known = run(repository, before, account=Account(file))
    assert known.devices == 11
    assert known.releases[0].halted
    assert run(repository, after, account=Account(file)) == known
