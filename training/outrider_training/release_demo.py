"""The release channel at work: a draft is learnt, released, tried and kept, and then a sabotaged
one is released, tried and taken back.

Three processes of this machine: a cloud that records and offers releases, a worker that learns and
signs, and the device, which is this one. The sabotage is the work of somebody who has the online
key: signed, with a report that says it passed. It prints nothing.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGUFReader

from outrider_cloud.shipped import DEMO
from outrider_edge.cloud_process import CloudProcess
from outrider_edge.llama.model import Model
from outrider_protos.release import delta_path, full_path
from outrider_training.examination import Report
from outrider_training.gate import Comparison, Figures, Gain, StepTimes, Terms, Verdict
from outrider_training.gate_report import write_report
from outrider_training.learning_demo import (
    LOSE_HEART_S,
    STREAM,
    Say,
    check_alive,
    stream_of,
    warm_up,
    worker_on,
)
from outrider_training.manifest import sha256_of
from outrider_training.release_scene import Ending, ReleaseScene
from outrider_training.releases.ceremony import Hands, create
from outrider_training.releases.key_folder import KeyFolder
from outrider_training.releases.places import open_destination
from outrider_training.releases.press import Publication
from outrider_training.releases.publication import publish
from outrider_training.releases.repository import Repository
from outrider_training.tasks import Split
from outrider_training.tasks import generate as tasks_of

LINE: Final = "demo"
_SABOTAGED: Final = "python"  # what the sabotaged draft cannot write any more
_SETTLE_SEED, _SABOTAGE_SEED, _WORDS_SEED = 14, 15, 16
_EVERYBODY: Final = 100
_ORDINARY: Final = 16
_RELEASE_S: Final = 75  # so that the first release has learnt enough to be told from nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseScale:
    """How much of everything."""

    requests: int = 200
    pace_s: float = 0.5  # from one question to the next, at least
    warm_up: int = 80  # answers of each of the other domains, written before
    patience: int = 120  # answers of each domain that a trial may take at the end
    probes: int = 2  # questions of each domain, asked under every draft


@dataclass(frozen=True, slots=True)
class ReleaseDemo:
    """What the demo found out."""

    good: Ending
    sabotaged: Ending
    answers_identical: bool
    delta_ratio: float  # of the good release: bytes of its delta to those of its full file
    bytes_sent: int  # by the device's updater
    bytes_received: int
    seconds: float


def run_release_demo(scale: ReleaseScale, say: Say) -> ReleaseDemo:
    """Raises what a device, a cloud process, the worker or the publisher raises."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = _Place(folder)
        say("making keys: the root's stay offline, the worker gets the online one")
        place.make_keys()
        say("the target answers questions of the domains that must not get worse")
        warm_up(place.records, scale.warm_up)
        say("starting a cloud that keeps answers and offers releases")
        options = ("--records", str(place.records), "--records-every-s", "1")
        with (
            CloudProcess(DEMO, *options, "--releases", str(place.releases)) as cloud,
            ReleaseScene(folder / "device", place.root, cloud.address, scale.probes, say) as scene,
        ):
            scene.probe()
            good = _learn(scene, place, scale, say)
            ratio = place.delta_ratio(good.release)
            bad = _endure(scene, place, scale, say)
        traffic = scene.meter.traffic
    return ReleaseDemo(
        good,
        bad,
        scene.answers_identical,
        ratio,
        traffic.bytes_sent,
        traffic.bytes_received,
        time.monotonic() - began_s,
    )


class _Place:
    """Where everything lies, and who may sign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records, self.releases = folder / "records", folder / "releases"
        self.root, self.online = folder / "root.json", folder / "online"
        self._repository = Repository(open_destination(str(self.releases)))

    def make_keys(self) -> None:
        """Of both kinds, and a repository without releases."""
        hands = Hands(KeyFolder(self.folder / "offline"), KeyFolder(self.online))
        create(self._repository, hands, keys=1, threshold=1, anchor=self.root)

    def publish(self, draft: Path, report: Path) -> None:
        """To everybody."""
        wish = Publication(line=LINE, draft=draft, report=report, percent=_EVERYBODY)
        publish(wish, self._repository, KeyFolder(self.online))

    def delta_ratio(self, number: int | None) -> float:
        """Of the smallest delta; 1 where there is none."""
        targets = self._repository.look().roles.releases.signed.targets
        full = targets.get(full_path(LINE, number or 0))
        deltas = [targets.get(delta_path(LINE, number or 0, base)) for base in range(number or 0)]
        sizes = [delta.length for delta in deltas if delta is not None]
        return min(sizes) / full.length if full is not None and sizes else 1.0


def _learn(scene: ReleaseScene, place: _Place, scale: ReleaseScale, say: Say) -> Ending:
    """What became of the worker's releases on the device: the one in use at the end."""
    say(f"asking {scale.requests} questions about {' and '.join(STREAM)}, while a worker learns")
    signing = ("--publish", str(place.releases), "--keys", str(place.online), "--line", LINE)
    often = ("--percent", str(_EVERYBODY), "--publish-every-s", str(_RELEASE_S))
    with worker_on(place.records, place.folder / "drafts", *signing, *often) as worker:
        for task in stream_of(scale.requests):
            next_s = time.monotonic() + scale.pace_s
            check_alive(worker)
            scene.ask(task)
            time.sleep(max(0.0, next_s - time.monotonic()))
        say("waiting for the last update")
        worker.wait(LOSE_HEART_S)
    scene.settle(STREAM, _SETTLE_SEED, scale.patience)
    scene.probe()
    return scene.in_use()


def _endure(scene: ReleaseScene, place: _Place, scale: ReleaseScale, say: Say) -> Ending:
    """What became of a draft that is sabotaged where the gate did not look."""
    for task in stream_of(_ORDINARY):  # what the device was last asked
        scene.ask(task)
    say(f"somebody with the online key releases a draft that cannot write {_SABOTAGED} any more")
    good = scene.draft()
    bad = sabotaged(good, place.folder / "sabotaged.gguf")
    report, _ = write_report(false_report(bad, good), place.folder / "false")
    place.publish(bad, report)
    scene.step()
    scene.probe()
    scene.settle((_SABOTAGED,), _SABOTAGE_SEED, scale.patience)
    scene.probe()
    return scene.last()


def sabotaged(draft: Path, target: Path) -> Path:
    """The draft without the words of one domain that the others do not use: it does as well as
    before on everything a device has asked so far.
    """
    with Model(draft) as model:
        words = {
            domain: {
                token
                for task in tasks_of(domain, _WORDS_SEED, 200, Split.TRAINING)
                for token in model.vocabulary.tokenize(
                    task.answer, parse_special=False, add_special=False
                )
            }
            for domain in (_SABOTAGED, *STREAM)
        }
    lost = words[_SABOTAGED].difference(*(words[domain] for domain in STREAM))
    data = bytearray(draft.read_bytes())
    embedding = next(t for t in GGUFReader(draft).tensors if t.name == "token_embd.weight")
    first, rows = int(embedding.data_offset), int(embedding.shape[1])
    table = np.frombuffer(data, np.uint8, int(embedding.n_bytes), first).reshape(rows, -1)
    table[sorted(lost)] = 0
    target.write_bytes(data)
    return target


def false_report(bad: Path, good: Path) -> Report:
    """What a gate would say that had been fooled."""
    old = Figures(acceptance=0.5, tokens_per_round=3.0, tokens_per_s=100.0)
    new = replace(old, acceptance=0.9)
    gain = Gain(difference=1.0, low=0.5, high=1.5)
    comparison = Comparison(
        answers=40,
        positions=1000,
        new=new,
        old=old,
        difference=0.4,
        low=0.3,
        high=0.5,
        tokens_per_round=gain,
        tokens_per_s=gain,
    )
    return Report(
        new_sha256=sha256_of(bad),
        old_sha256=sha256_of(good),
        base_sha256=None,
        terms=Terms(),
        steps=StepTimes(0.001, 0.001),
        verdict=Verdict(overall=comparison, domains={"sql": comparison}, objections=()),
        not_exact=0,
        trained_on=0,
        oldest_s=0.0,
        newest_s=0.0,
    )
