"""Drafts that come while several sessions are at work: each answer says truly who drafted it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from outrider_edge.answer import Result
from outrider_edge.drafts import DraftFile, Drafts, Seat
from outrider_edge.errors import Cancelled, DraftError
from outrider_edge.generation import Outcome
from outrider_edge.installed import Installed
from outrider_edge.ledger import Traffic
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.options import Mode, Options
from outrider_edge.releases.recent import RecentAnswer, RecentAnswers
from outrider_edge.releases.settings import Following
from outrider_edge.releases.starts import MOST_STARTS
from outrider_edge.releases.store import DraftStore
from outrider_edge.speculate import Tally
from outrider_edge.worker import Worker
from outrider_protos.words import FinishReason, Sampling
from tests.edge.releases.device import ended_starts
from tests.simulators.gguf_files import TinyModel, write_gguf

EXACT, LOCAL = Options(), Options(mode=Mode.LOCAL)
CONSENTING = [Options(consent=True), Options(mode=Mode.BIG_LITTLE, consent=True)]


class SlowDrafts(Drafts):
    """Loading ends when it is let."""

    def __init__(self, first: DraftFile, worker: Worker) -> None:
        super().__init__(first, worker)
        self.loading, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def hold(self) -> None:
        """Nothing is loaded from now on, until `go_on`."""
        self.loading.clear()
        self.go_on.clear()

    def install(self, name: str, path: Path, adapter: Path | None, *, writes: bool) -> None:
        self.loading.set()
        assert self.go_on.wait(60)
        super().install(name, path, adapter, writes=writes)


class Scene:
    """A device's drafts, without the device."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.factory = folder, write_gguf(folder / "factory.gguf", TinyModel())
        following = Following(
            channel="unused", line="demo", root=folder / "root", folder=folder / "drafts"
        )
        self.store = DraftStore(following.folder, self.factory)
        self.recent = RecentAnswers(following.recent_file, following.recent)
        self.now_s = 0.0
        self.installed = Installed(following, self.factory, lambda: self.now_s)
        first = self.installed.first()
        self.worker = Worker()
        self.drafts = SlowDrafts(DraftFile(first.model, name=first.name), self.worker)

    def comes(self, seed: int) -> str:
        """A release, on trial from now on."""
        file = write_gguf(self.folder / "new.gguf", TinyModel(seed=seed))
        name = sha256(file.read_bytes()).hexdigest()
        self.store.add(file, name)
        self.store.write(self.store.pointer().begin_trial(name))
        return name

    def drafted_by(self, options: Options) -> str:
        """Whose file drafts an answer of a new session."""
        seat = self.drafts.seat(ContextSettings(), writes=options.mode is not Mode.EXACT)
        drafting = self.installed.drafting(self.drafts, seat, options)
        drafting.ended()
        self.drafts.leave(seat)
        return seat.file.name

    def close(self) -> None:
        self.worker.close()
        self.drafts.close()

    @property
    def marks(self) -> int:
        return len(list((self.folder / "drafts" / "starts").glob("*")))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def finished() -> tuple[Outcome, Result]:
    """An answer of two tokens."""
    ended = FinishReason.END_TOKEN
    outcome = Outcome(log=(1, 2, 3), tail=(), reason=ended, tally=Tally(), choices={})
    result = Result(
        text="ab",
        unverified="",
        unverified_tokens=0,
        reason=ended,
        sampling=Sampling(),
        prompt=(1,),
        tokens=(2, 3),
        origins=(),
        choices={},
        tally=Tally(),
        traffic=Traffic(0, 0),
        seconds=0.1,
    )
    return outcome, result


def test_while_one_session_loads_others_draft_with_what_there_is(scene: Scene) -> None:
    factory, new = scene.drafts.current.name, scene.comes(seed=1)
    scene.drafts.hold()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(scene.drafted_by, EXACT)
        assert scene.drafts.loading.wait(60)
        assert scene.drafted_by(EXACT) == factory
        assert scene.marks == 1  # the one that loads
        scene.drafts.go_on.set()
        assert first.result(60) == new
    assert scene.drafted_by(EXACT) == new
    assert scene.marks == 0


def test_an_answer_that_goes_on_keeps_its_mark(scene: Scene) -> None:
    scene.comes(seed=1)
    seat = scene.drafts.seat(ContextSettings())
    running = scene.installed.drafting(scene.drafts, seat, EXACT)
    assert scene.marks == 1
    scene.drafted_by(EXACT)
    assert scene.marks == 1
    running.ended()
    running.ended()
    assert scene.marks == 0
    again = scene.installed.drafting(scene.drafts, seat, EXACT)
    assert scene.marks == 1
    again.ended()


def test_what_is_written_comes_from_kept_drafts_as_soon_as_they_are(scene: Scene) -> None:
    """And from the one before as soon as a release is left, whatever else is on trial."""
    factory, new = scene.drafts.current.name, scene.comes(seed=1)
    assert [scene.drafted_by(LOCAL), scene.drafted_by(EXACT)] == [factory, new]
    assert scene.drafted_by(LOCAL) == factory
    scene.store.write(scene.store.pointer().commit())
    assert [scene.drafted_by(LOCAL), scene.drafted_by(EXACT)] == [new, new]
    newer = scene.comes(seed=2)
    assert [scene.drafted_by(EXACT), scene.drafted_by(LOCAL)] == [newer, new]
    scene.store.write(scene.store.pointer().go_back())
    assert [scene.drafted_by(LOCAL), scene.drafted_by(EXACT)] == [factory, newer]
    scene.store.write(scene.store.pointer().call_off())
    assert [scene.drafted_by(LOCAL), scene.drafted_by(EXACT)] == [factory, factory]


def test_nothing_is_in_memory_twice(scene: Scene) -> None:
    new = scene.comes(seed=1)
    assert scene.drafted_by(EXACT) == new
    scene.store.write(scene.store.pointer().commit())
    assert scene.drafted_by(LOCAL) == new
    assert scene.drafts.writing is scene.drafts.current
    left = scene.drafts.current.model
    scene.store.write(scene.store.pointer().go_back())
    assert scene.drafted_by(EXACT) == scene.drafts.first.name
    assert scene.drafts.current is scene.drafts.first
    assert left.pointer is not None  # local texts have not moved yet
    scene.drafted_by(LOCAL)
    assert left.pointer is None


def test_a_draft_that_ends_processes_is_not_loaded(scene: Scene) -> None:
    """And whatever else drafts leaves no mark against it."""
    factory = scene.drafts.current.name
    scene.comes(seed=1)
    ended_starts(scene.folder / "drafts" / "starts", MOST_STARTS)
    seat = scene.drafts.seat(ContextSettings())
    scene.installed.drafting(scene.drafts, seat, EXACT)
    assert seat.file.name == factory
    assert scene.marks == MOST_STARTS


def test_what_could_not_be_loaded_is_tried_again_in_time(scene: Scene) -> None:
    factory, new = scene.drafts.current.name, scene.comes(seed=1)
    good = scene.store.path(new).read_bytes()
    scene.store.path(new).write_bytes(good[:1000])
    assert scene.drafted_by(EXACT) == factory
    scene.store.path(new).write_bytes(good)
    scene.drafts.loading.clear()
    assert scene.drafted_by(EXACT) == factory
    assert not scene.drafts.loading.is_set()  # not with every answer
    scene.now_s = 61.0
    assert scene.drafted_by(EXACT) == new


def test_two_that_cannot_be_loaded_do_not_hide_each_other(scene: Scene) -> None:
    scene.comes(seed=1)
    scene.store.write(scene.store.pointer().commit())
    scene.comes(seed=2)
    pointer = scene.store.pointer()
    for name in (pointer.active, pointer.drafting):
        scene.store.path(name).write_bytes(b"GGUF")
    for options in (EXACT, LOCAL):
        scene.drafted_by(options)
    scene.drafts.loading.clear()
    for options in (EXACT, LOCAL) * 2:
        scene.drafted_by(options)
    assert not scene.drafts.loading.is_set()


def test_a_draft_that_cannot_begin_loses_an_answer_and_no_other_does(scene: Scene) -> None:
    """Another session moves on to the next draft in that moment."""
    factory, new = scene.drafts.current.name, scene.comes(seed=1)

    class NoRoom(Seat):
        def sit(self) -> tuple[DraftFile, LlamaDraft]:
            self.file = scene.drafts.current
            scene.drafts.go_on.set()
            assert other.result(60) == new
            raise DraftError("no memory")

    scene.drafts.hold()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(scene.drafted_by, EXACT)
        assert scene.drafts.loading.wait(60)
        seat = NoRoom(scene.drafts, ContextSettings(), scene.worker, writes=False)
        drafting = scene.installed.drafting(scene.drafts, seat, EXACT)
    assert drafting.draft is None
    drafting.heard(*finished())
    assert kept(scene) == [(factory, True)]


def kept(scene: Scene) -> list[tuple[str, bool]]:
    """Which drafts answers count for, and whether those broke down."""
    found: list[RecentAnswer] = scene.recent.after(0, 100)
    return [(answer.draft, answer.failed) for answer in found]


def test_an_answer_counts_for_the_draft_that_it_had(scene: Scene) -> None:
    factory = scene.drafts.current.name
    seat = scene.drafts.seat(ContextSettings())
    drafting = scene.installed.drafting(scene.drafts, seat, EXACT)
    new = scene.comes(seed=1)
    assert scene.drafted_by(EXACT) == new  # in another session, meanwhile
    drafting.heard(*finished())
    assert kept(scene) == [(factory, False)]


@pytest.mark.parametrize("options", CONSENTING)
def test_a_file_that_is_gone_refuses_no_answer(scene: Scene, options: Options) -> None:
    """Records name a draft by its bytes, which nobody can read any more."""
    new = scene.comes(seed=1)
    scene.store.write(scene.store.pointer().commit())
    assert scene.drafted_by(LOCAL) == scene.drafted_by(EXACT) == new
    scene.store.path(new).unlink()
    scene.drafts.hold()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(scene.drafted_by, options)
        assert scene.drafts.loading.wait(60)
        seat = scene.drafts.seat(ContextSettings(), writes=options.mode is not Mode.EXACT)
        assert scene.installed.drafting(scene.drafts, seat, options).draft_id is None
        scene.drafts.go_on.set()
        other.result(60)


@pytest.mark.parametrize("options", [EXACT, LOCAL])
def test_the_end_may_come_while_a_draft_is_loaded(scene: Scene, options: Options) -> None:
    scene.comes(seed=1)
    if options is LOCAL:
        scene.store.write(scene.store.pointer().commit())
    scene.drafts.hold()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(scene.drafted_by, options)
        assert scene.drafts.loading.wait(60)
        scene.close()
        scene.drafts.go_on.set()
        with pytest.raises(Cancelled, match="the device was closed"):
            asking.result(60)
    assert scene.marks == 0
