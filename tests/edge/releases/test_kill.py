"""A device that is killed at any moment of an update: it starts with a draft that is whole, goes on
where it was, and ends with the new one.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.llama.model import Model
from outrider_edge.releases.chunks import ChunkPlan, missing
from outrider_edge.releases.recent import RecentAnswers
from outrider_edge.releases.step import Phase
from outrider_edge.releases.store import DraftStore, digest_of
from outrider_protos.release import Line
from tests.simulators.drafts import answers, golden, spoiled
from tests.simulators.signed_channel import CHUNK_BYTES, Publication, SignedChannel
from tests.simulators.static_web import Manners, StaticWeb

_REPOSITORY = Path(__file__).parents[3]
_BYTES_PER_S = 2_500_000.0
_LONGEST_S = {Phase.FETCHING: 0.8, Phase.TESTING: 0.5, Phase.REPLAYING: 0.5, Phase.JUDGING: 0.2}
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class Journey:
    """One device from its first draft to the next, in as many processes as it takes."""

    def __init__(self, folder: Path, web: StaticWeb, root: Path, factory: Path) -> None:
        self._folder, self._web, self._root, self._factory = folder, web, root, factory
        self._recent = RecentAnswers(folder / "recent.sqlite", 512)
        self._plan = ChunkPlan.of(SHIPPED_DRAFT, CHUNK_BYTES)
        self._new = digest_of(SHIPPED_DRAFT)
        for answer in answers(digest_of(factory), 6):
            self._recent.add(answer)

    @property
    def store(self) -> DraftStore:
        return DraftStore(self._folder, self._factory)

    @property
    def arrived(self) -> bool:
        return self.store.pointer().active == self._new

    def live(self, dies_in: Phase | None, share: float) -> Phase | None:
        """One process, which perhaps dies in that phase, or in the next if it is past it; where."""
        verified, asked = self._verified(), len(self._web.asked)
        died = self._run(dies_in, share)
        self._check_requests(verified, asked)
        self._check_start()
        if self.store.pointer().trial is not None:
            for answer in answers(self._new, 30):
                self._recent.add(answer)
        return died

    def _run(self, dies_in: Phase | None, share: float) -> Phase | None:
        order = list(Phase)
        command = [sys.executable, "-m", "tests.edge.releases.update_process"]
        given = (self._web.url, str(self._root), str(self._folder), str(self._factory))
        with subprocess.Popen(
            [*command, *given], cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                phase = Phase[line.strip()]
                if dies_in is not None and order.index(phase) >= order.index(dies_in):
                    time.sleep(share * _LONGEST_S.get(phase, 0.02))
                    alive = process.poll() is None
                    process.kill()
                    return phase if alive else None
            assert process.wait() == 0
        return None

    def _verified(self) -> set[int]:
        """Chunks of the new file that are on the disk and right."""
        if self.store.path(self._new).exists():
            return set(range(len(self._plan.digests)))
        path = self.store.incoming(self._new)
        return set(range(len(self._plan.digests))) - set(missing(path, self._plan))

    def _check_requests(self, verified: set[int], since: int) -> None:
        """No chunk that was there was asked for again."""
        for asked in self._web.asked[since:]:
            if not asked.path.endswith(".gguf"):
                continue
            found = _RANGE.fullmatch(asked.fields["range"])
            assert found is not None
            chunks = range(int(found[1]) // CHUNK_BYTES, int(found[2]) // CHUNK_BYTES + 1)
            assert not verified.intersection(chunks)

    def _check_start(self) -> None:
        """What a device would now begin with is whole, and loads."""
        store = self.store
        name = store.pointer().drafting
        path = store.path(name)
        assert sha256(path.read_bytes()).hexdigest() == name
        Model(path).close()


def killed(folder: Path, each: int, total: int) -> Counter[Phase]:
    """Devices are killed until it happened so often in every phase, and so often in all."""
    signed = SignedChannel(folder / "channel")
    wish = Publication(number=1, file=SHIPPED_DRAFT, golden=(golden(SHIPPED_DRAFT),))
    signed.publish(wish, Line(stable=1))
    root = folder / "root.json"
    root.write_bytes(signed.root_bytes)
    factory = spoiled(folder / "weak.gguf", 1.0)
    deaths: Counter[Phase] = Counter()
    chance = Random(0)
    with StaticWeb(signed.folder, Manners(bytes_per_s=_BYTES_PER_S)) as web:
        for number in range(total):
            if all(deaths[p] >= each for p in Phase) and deaths.total() >= total:
                break
            device = folder / f"device-{number}"
            device.mkdir()
            journey = Journey(device, web, root, factory)
            for phase in Phase:
                for _ in range(max(1, total // 20)):
                    if journey.arrived:
                        break
                    if (died := journey.live(phase, chance.random())) is not None:
                        deaths[died] += 1
            for _ in range(4):
                if not journey.arrived:
                    journey.live(None, 0.0)
            assert journey.arrived
    return deaths


@pytest.mark.long
def test_a_killed_device_goes_on(tmp_path: Path) -> None:
    deaths = killed(tmp_path, each=1, total=8)
    assert all(deaths[phase] >= 1 for phase in Phase)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_device_that_is_killed_a_hundred_times_goes_on(tmp_path: Path) -> None:
    deaths = killed(tmp_path, each=5, total=100)
    assert all(deaths[phase] >= 5 for phase in Phase)
    assert deaths.total() >= 100
