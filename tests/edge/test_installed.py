"""Drafts that come while several sessions are at work: each answer says truly who drafted it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from outrider_edge.drafts import DraftFile, Drafts
from outrider_edge.installed import Installed
from outrider_edge.llama.context import ContextSettings
from outrider_edge.options import Mode, Options
from outrider_edge.releases.settings import Following
from outrider_edge.releases.store import DraftStore
from outrider_edge.worker import Worker
from tests.edge.releases.device import ended_starts
from tests.simulators.gguf_files import TinyModel, write_gguf

EXACT, LOCAL = Options(), Options(mode=Mode.LOCAL)


class SlowDrafts(Drafts):
    """Loading ends when it is let."""

    def __init__(self, first: DraftFile, worker: Worker) -> None:
        super().__init__(first, worker)
        self.loading, self.go_on = threading.Event(), threading.Event()

    def swap(self, path: Path, adapter: Path | None = None, name: str = "") -> None:
        self.loading.set()
        assert self.go_on.wait(60)
        super().swap(path, adapter, name)


class Scene:
    """A device's drafts, without the device."""

    def __init__(self, folder: Path, worker: Worker) -> None:
        self.folder, self.factory = folder, write_gguf(folder / "factory.gguf", TinyModel())
        following = Following(
            channel="unused", line="demo", root=folder / "root", folder=folder / "drafts"
        )
        self.store = DraftStore(following.folder, self.factory)
        self.installed = Installed(following, self.factory)
        first = self.installed.first()
        self.drafts = SlowDrafts(DraftFile(first.model, name=first.name), worker)

    def comes(self, seed: int, context: int = 256) -> str:
        """A release, on trial from now on."""
        shape = TinyModel(seed=seed, context=context)
        file = write_gguf(self.folder / "new.gguf", shape)
        name = sha256(file.read_bytes()).hexdigest()
        self.store.add(file, name)
        self.store.write(self.store.pointer().begin_trial(name))
        return name

    def drafted_by(self, options: Options) -> str:
        """Whose file drafts an answer of a new session."""
        seat = self.drafts.seat(ContextSettings(), writes=options.mode is not Mode.EXACT)
        drafting = self.installed.drafting(self.drafts, seat, options)
        file, _ = seat.sit()
        drafting.ended()
        self.drafts.leave(seat)
        return file.name

    @property
    def marks(self) -> int:
        return len(list((self.folder / "drafts" / "starts").glob("*")))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    worker = Worker()
    scene = Scene(tmp_path, worker)
    scene.drafts.go_on.set()
    yield scene
    worker.close()
    scene.drafts.close()


def test_while_one_session_loads_others_draft_with_what_there_is(scene: Scene) -> None:
    factory, new = scene.drafts.current.name, scene.comes(seed=1)
    scene.drafts.go_on.clear()
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
    assert scene.marks == 0


def test_what_is_written_comes_from_proven_drafts_as_soon_as_they_are(scene: Scene) -> None:
    """And from the one before as soon as a release is left."""
    factory, new = scene.drafts.current.name, scene.comes(seed=1)
    assert [scene.drafted_by(LOCAL), scene.drafted_by(EXACT)] == [factory, new]
    assert scene.drafted_by(LOCAL) == factory
    scene.store.write(scene.store.pointer().commit())
    assert [scene.drafted_by(LOCAL), scene.drafted_by(EXACT)] == [new, new]
    newer = scene.comes(seed=2)
    assert [scene.drafted_by(EXACT), scene.drafted_by(LOCAL)] == [newer, new]
    scene.store.write(scene.store.pointer().call_off().go_back())
    assert [scene.drafted_by(LOCAL), scene.drafted_by(EXACT)] == [factory, factory]


def test_a_draft_with_less_room_than_sessions_count_on_does_not_write(scene: Scene) -> None:
    factory, small = scene.drafts.current.name, scene.comes(seed=1, context=64)
    scene.store.write(scene.store.pointer().commit())
    assert [scene.drafted_by(EXACT), scene.drafted_by(LOCAL)] == [small, factory]


def test_a_draft_that_ends_processes_is_not_loaded(scene: Scene) -> None:
    factory = scene.drafts.current.name
    scene.comes(seed=1)
    ended_starts(scene.folder / "drafts" / "starts", 3)
    assert scene.drafted_by(EXACT) == factory
