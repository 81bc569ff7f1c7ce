"""What a worker looks after in turn: releases are minded whatever becomes of records and cloud."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import cast

from outrider_cloud.records.shards import StoreError
from outrider_protos.release import Line
from outrider_training.attention import Attention
from outrider_training.cloud_watch import CloudWatch
from outrider_training.examination import Report
from outrider_training.online import Attempt, Online
from outrider_training.releases.publication import Published
from tests.simulators.fleet_cloud import FleetCloud, nobody, served
from tests.training.releases.scene import LINE, Scene, learnt, report_of
from tests.training.releases.test_releasing import Clock, Gate, line_of, releasing


@dataclass
class Learner:
    """Has a better draft, and no new records."""

    current: Path
    follower: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(damaged=[]))

    def report_against(self, old: Path) -> Report:
        return report_of(self.current, old)

    def turn(self, *_: object) -> int:
        return 0


@dataclass
class Heard:
    troubles: list[str] = field(default_factory=list)
    releases: list[Published] = field(default_factory=list)

    def trouble(self, text: str | None) -> None:
        self.troubles += [text] if text else []

    def published(self, published: Published | None) -> None:
        self.releases += [published] if published else []

    def attempt(self, attempt: Attempt) -> None: ...

    def damaged(self, lines: list[str]) -> None: ...

    def held(self, number: int | None) -> None: ...


def test_a_repository_that_is_away_ends_no_worker(
    scene: Scene, factory: Path, tmp_path: Path
) -> None:
    clock, heard = Clock(), Heard()
    worker = releasing(scene, factory, clock)
    online = cast(Online, Learner(learnt(factory, "one.gguf", 1)))
    attention = Attention(online, None, worker, LINE, heard)
    scene.place.rename(tmp_path / "unmounted")
    attention.follow(Event(), poll_s=0.01, idle_exit_s=0.0)
    assert "there is no repository" in heard.troubles[0]
    (tmp_path / "unmounted").rename(scene.place)
    clock.now_s += 60.0
    attention.follow(Event(), poll_s=0.01, idle_exit_s=0.0)
    assert [release.number for release in heard.releases] == [1]


def test_while_the_cloud_is_silent_signatures_are_renewed_and_nothing_is_released(
    scene: Scene, factory: Path
) -> None:
    """What was offered to all may be halted: a next release would make it everybody's for good."""
    clock, heard = Clock(), Heard()
    worker = releasing(scene, factory, clock)
    bad = learnt(factory, "one.gguf", 1)
    worker.offer(bad, Gate(bad))
    clock.now_s += 60.0
    scene.clock = lambda: datetime.now(UTC) + timedelta(days=4)
    place = scene.place / "metadata" / "timestamp.json"
    signed = place.read_bytes()
    online = cast(Online, Learner(learnt(factory, "two.gguf", 2)))
    with nobody() as address, CloudWatch(address) as watch:
        attention = Attention(online, watch, worker, LINE, heard)
        attention.follow(Event(), poll_s=0.01, idle_exit_s=0.05)
    (said,) = set(heard.troubles)
    assert "no cloud at" in said and "nothing is released until it says what is halted" in said
    assert place.read_bytes() != signed
    assert line_of(scene) == Line(next=1, percent=100)
    with served(FleetCloud(((LINE, 1),))) as address, CloudWatch(address) as watch:
        attention = Attention(online, watch, worker, LINE, heard)
        attention.follow(Event(), poll_s=0.01, idle_exit_s=0.0)
    assert line_of(scene) == Line(next=2, percent=10, withdrawn=(1,))


@dataclass
class Slow(Learner):
    """A release is halted while it judges its draft."""

    cloud: FleetCloud = field(default_factory=FleetCloud)

    def report_against(self, old: Path) -> Report:
        self.cloud.halted = ((LINE, 1),)
        return super().report_against(old)


def test_what_is_halted_while_a_draft_is_judged_does_not_become_everybodys(
    scene: Scene, factory: Path
) -> None:
    clock, heard, cloud = Clock(), Heard(), FleetCloud()
    worker = releasing(scene, factory, clock)
    bad, better = learnt(factory, "one.gguf", 1), learnt(factory, "two.gguf", 2)
    worker.offer(bad, Gate(bad))
    clock.now_s += 60.0
    online = cast(Online, Slow(better, cloud=cloud))
    with served(cloud) as address, CloudWatch(address) as watch:
        attention = Attention(online, watch, worker, LINE, heard)
        attention.follow(Event(), poll_s=0.01, idle_exit_s=0.0)
        assert line_of(scene) == Line(next=1, percent=100)
        attention.follow(Event(), poll_s=0.01, idle_exit_s=0.0)
        assert line_of(scene) == Line(next=1, percent=100, held=True)
        clock.now_s += 60.0
        attention.follow(Event(), poll_s=0.01, idle_exit_s=0.0)
    assert line_of(scene) == Line(next=2, percent=10, withdrawn=(1,))


class Away(Learner):
    """Its records cannot be read."""

    def turn(self, *_: object) -> int:
        raise StoreError("the records are away")


def test_releases_are_minded_while_records_are_away(scene: Scene, factory: Path) -> None:
    """For weeks perhaps: a halted one is held, and signatures are renewed."""
    clock, heard = Clock(), Heard()
    worker = releasing(scene, factory, clock, percent=20)
    draft = learnt(factory, "one.gguf", 1)
    worker.offer(draft, Gate(draft))
    online = cast(Online, Away(draft))
    with served(FleetCloud(((LINE, 1),))) as address, CloudWatch(address) as watch:
        attention = Attention(online, watch, worker, LINE, heard)
        attention.follow(Event(), poll_s=0.01, idle_exit_s=0.0)
    assert heard.troubles == ["the records are away"]
    assert line_of(scene) == Line(next=1, percent=20, held=True)
