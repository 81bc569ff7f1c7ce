"""A worker's drafts become releases by themselves: when due, when better, and not when halted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from outrider_protos.release import Line
from outrider_training.errors import CallerError, ModelUnreadableError, TrainingError
from outrider_training.examination import Report
from outrider_training.releases.errors import (
    EvidenceError,
    KeysMissingError,
    KeyUnusableError,
    RepositoryMissingError,
    RolloutError,
)
from outrider_training.releases.line_state import LineState
from outrider_training.releasing import Course, Releasing
from tests.training.releases.scene import LINE, Scene, gate_report, learnt, report_of


class Gate:
    """Says what it is told to, and remembers what was compared."""

    def __init__(self, draft: Path, *objections: str) -> None:
        self.draft, self.objections = draft, objections
        self.against: list[bytes] = []

    def __call__(self, old: Path) -> Report:
        self.against.append(old.read_bytes())
        return report_of(self.draft, old, objections=self.objections)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def releasing(scene: Scene, factory: Path, clock: Clock, percent: int | None = None) -> Releasing:
    course = Course(
        line=LINE,
        keys=scene.hands.online.path,
        factory=factory,
        percent=percent,
        every_s=60.0,
    )
    made = Releasing(course, scene.repository, clock)
    clock.now_s += 60.0
    return made


def line_of(scene: Scene) -> Line:
    return scene.reader().look().line(LINE)


def test_better_drafts_are_released_not_too_often(scene: Scene, factory: Path) -> None:
    clock = Clock()
    worker = releasing(scene, factory, clock)
    first, second = learnt(factory, "one.gguf", 1), learnt(factory, "two.gguf", 2)
    clock.now_s = 59.0
    assert worker.offer(first, Gate(first)) is None  # a worker that was restarted waits as well
    clock.now_s = 60.0
    assert worker.offer(factory, Gate(factory)) is None  # devices came with it
    published = worker.offer(first, Gate(first))
    assert published is not None and published.number == 1
    assert published.sizes.keys() >= {"demo/1.gguf", "demo/1.from-0.delta"}
    gate = Gate(second)
    clock.now_s = 119.0
    assert worker.offer(second, gate) is None
    clock.now_s = 120.0
    published = worker.offer(second, gate)
    assert published is not None and published.number == 2
    assert gate.against == [first.read_bytes()]  # not the factory's: devices have the first
    assert worker.offer(second, gate) is None


def test_what_everybody_was_offered_becomes_stable(scene: Scene, factory: Path) -> None:
    """So a trial of it that is under way is not called off by the next release."""
    clock = Clock()
    worker = releasing(scene, factory, clock, percent=100)
    first, second = learnt(factory, "one.gguf", 1), learnt(factory, "two.gguf", 2)
    worker.offer(first, Gate(first))
    clock.now_s = 120.0
    worker.offer(second, Gate(second))
    assert line_of(scene) == Line(stable=1, next=2, percent=100)


def test_no_draft_is_read_before_a_release_is_due(
    scene: Scene, factory: Path, tmp_path: Path
) -> None:
    """It is asked every few seconds for an hour, and drafts are large."""
    clock = Clock()
    worker = releasing(scene, factory, clock)
    draft = tmp_path / "not there.gguf"
    clock.now_s = 59.0
    assert worker.offer(draft, Gate(draft)) is None
    clock.now_s = 60.0
    with pytest.raises(ModelUnreadableError):
        worker.offer(draft, Gate(draft))


def test_what_the_gate_refuses_is_not_released(scene: Scene, factory: Path) -> None:
    clock = Clock()
    worker = releasing(scene, factory, clock)
    draft, gate = learnt(factory, "one.gguf", 1), Gate(learnt(factory, "one.gguf", 1), "no better")
    assert worker.offer(draft, gate) is None
    assert worker.offer(draft, gate) is None
    assert len(gate.against) == 1  # judging takes its time: not at every look
    clock.now_s += 60.0
    assert worker.offer(draft, lambda old: None) is None
    clock.now_s += 60.0
    assert worker.offer(draft, Gate(draft)) is not None  # by newer answers


def test_a_report_of_another_file_releases_nothing(scene: Scene, factory: Path) -> None:
    worker = releasing(scene, factory, Clock())
    one, two = learnt(factory, "one.gguf", 1), learnt(factory, "two.gguf", 2)
    with pytest.raises(EvidenceError, match="another file"):
        worker.offer(one, Gate(two))


def test_a_halted_release_is_held_by_signature(scene: Scene, factory: Path) -> None:
    clock = Clock()
    worker = releasing(scene, factory, clock, percent=20)
    draft = learnt(factory, "one.gguf", 1)
    worker.offer(draft, Gate(draft))
    assert worker.mind(frozenset()) is None
    assert worker.mind(frozenset({1})) == 1  # at once: a next release may be due
    assert line_of(scene) == Line(next=1, percent=20, held=True)
    clock.now_s += 30.0
    assert worker.mind(frozenset({1})) is None
    scene.roll_out(LineState.withdraw)
    clock.now_s += 30.0
    assert worker.mind(frozenset({1})) is None


@pytest.mark.parametrize("withdrawn", [False, True])
def test_what_was_taken_back_is_never_offered_again(
    scene: Scene, factory: Path, withdrawn: bool
) -> None:
    """Not by a worker that was begun anew, nor by hand: its trials would begin anew."""
    clock = Clock()
    worker = releasing(scene, factory, clock, percent=20)
    bad, better = learnt(factory, "one.gguf", 1), learnt(factory, "two.gguf", 2)
    worker.offer(bad, Gate(bad))
    if withdrawn:
        scene.roll_out(LineState.withdraw)
    else:
        assert worker.mind(frozenset({1})) == 1
    before, again, gate = line_of(scene), releasing(scene, factory, clock, percent=20), Gate(bad)
    assert again.offer(bad, gate) is None
    assert (line_of(scene), gate.against) == (before, [])
    said = "was release 1, which was withdrawn" if withdrawn else "is release 1, which is on hold"
    with pytest.raises(RolloutError, match=f"this file {said}"):
        scene.publish(bad, gate_report(bad.parent, bad, factory))
    clock.now_s += 60.0
    published = again.offer(better, Gate(better))
    assert published is not None and published.number == 2
    clock.now_s += 60.0
    assert releasing(scene, factory, clock).offer(bad, gate) is None


def test_a_held_release_is_not_what_devices_have(scene: Scene, factory: Path) -> None:
    clock = Clock()
    worker = releasing(scene, factory, clock, percent=20)
    first, second = learnt(factory, "one.gguf", 1), learnt(factory, "two.gguf", 2)
    worker.offer(first, Gate(first))
    worker.mind(frozenset({1}))
    clock.now_s = 120.0
    gate = Gate(second)
    published = worker.offer(second, gate)
    assert published is not None and published.number == 2
    assert gate.against == [factory.read_bytes()]
    assert line_of(scene) == Line(next=2, percent=20, withdrawn=(1,))


def test_a_repository_that_is_away_is_not_asked_at_every_turn(scene: Scene, factory: Path) -> None:
    """Each may take long to fail; a release that was halted meanwhile is held as soon as may be."""
    clock = Clock()
    worker = releasing(scene, factory, clock, percent=20)
    draft = learnt(factory, "one.gguf", 1)
    worker.offer(draft, Gate(draft))
    away = scene.place.rename(scene.folder / "away")
    with pytest.raises(TrainingError):
        worker.mind(frozenset())
    assert worker.mind(frozenset()) is None
    for _ in range(2):
        with pytest.raises(TrainingError):
            worker.mind(frozenset({1}))
    away.rename(scene.place)
    assert worker.mind(frozenset({1})) == 1


def test_signatures_are_dated_anew_in_time(scene: Scene, factory: Path) -> None:
    """Also while there is nothing to release: devices would take the channel for frozen."""
    clock = Clock()
    worker = releasing(scene, factory, clock)
    place = scene.place / "metadata" / "timestamp.json"
    first = place.read_bytes()
    worker.mind(frozenset())
    assert place.read_bytes() == first
    clock.now_s += 30.0
    scene.clock = lambda: datetime.now(UTC) + timedelta(days=4)
    worker.mind(frozenset())
    assert place.read_bytes() != first
    scene.reader().look()


def test_what_could_never_be_released_is_said_at_once(
    scene: Scene, factory: Path, tmp_path: Path
) -> None:
    """Not after hours of learning."""
    course = Course(line=LINE, keys=scene.hands.online.path, factory=factory)
    Releasing(course, scene.repository).check()
    with pytest.raises(CallerError, match="Bad Line"):
        Releasing(replace(course, line="Bad Line"), scene.repository).check()
    with pytest.raises(KeyUnusableError):
        Releasing(replace(course, keys=tmp_path / "nowhere"), scene.repository).check()
    for key in scene.hands.online.path.glob("*.pem"):
        key.unlink()
    with pytest.raises(KeysMissingError):
        Releasing(course, scene.repository).check()
    scene.place.rename(tmp_path / "unmounted")
    with pytest.raises(RepositoryMissingError):
        Releasing(course, scene.repository).check()
