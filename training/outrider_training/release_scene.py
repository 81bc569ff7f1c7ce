"""A device for the demo of releases: it asks, follows a cloud's channel, and remembers what came of
each release.

Its updater steps between two answers, where a device's own would step in the background.
"""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from outrider_edge.client import Address
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device, DeviceSettings
from outrider_edge.ledger import Ledger, Meter
from outrider_edge.releases.pointer import Pointer
from outrider_edge.releases.settings import CLOUD, Following, UpdateSettings
from outrider_edge.releases.step import State, Step
from outrider_edge.releases.store import DraftStore
from outrider_edge.updates import Updates
from outrider_training.learning_demo import Say, ask
from outrider_training.tasks import DOMAINS, Split, Task
from outrider_training.tasks import generate as tasks_of

_STEP_EVERY: Final = 8  # answers
_PROBE_SEED: Final = 2027


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a release here, and how many answers its trial took."""

    state: State
    release: int | None
    answers: int


class ReleaseScene:
    """`probes` questions of each domain are asked under every draft, to compare their texts."""

    def __init__(self, folder: Path, root: Path, cloud: str, probes: int, say: Say) -> None:
        following = Following(
            channel=CLOUD, line="demo", root=root, folder=folder, every_s=0.0, recent=256
        )
        address = Address(target=cloud)
        updating = UpdateSettings(
            following=following, factory=SHIPPED_DRAFT, cloud=address, local_only=False, threads=1
        )
        self.meter = Meter()
        self._say, self._folder = say, folder
        self._updates = Updates(updating, self.meter, Ledger(None))
        self._probes = [
            task for domain in DOMAINS for task in tasks_of(domain, _PROBE_SEED, probes)
        ]
        self._texts: set[tuple[str, ...]] = set()
        self._answers, self._since_step = 0, 0
        self._begun = 0  # answers when the trial began
        self._endings: list[Ending] = []
        self._device = Device(
            DeviceSettings(draft=SHIPPED_DRAFT, cloud=address, following=following)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._device.close()

    @property
    def pointer(self) -> Pointer:
        """Which drafts there are."""
        return DraftStore(self._folder, SHIPPED_DRAFT).pointer()

    def draft(self) -> Path:
        """The file in use; releases of this demo come without adapters."""
        return DraftStore(self._folder, SHIPPED_DRAFT).path(self.pointer.active)

    @property
    def answers_identical(self) -> bool:
        """Whether the probes got one text each, under however many drafts."""
        return len(self._texts) == 1

    def last(self) -> Ending:
        """Of the release that was tried last."""
        nothing = Ending(State.UP_TO_DATE, None, 0)
        return self._endings[-1] if self._endings else nothing

    def in_use(self) -> Ending:
        """Of the release that drafts now; of the last one if none does."""
        kept = [each for each in self._endings if each.state is State.COMMITTED]
        return kept[-1] if kept else self.last()

    def probe(self) -> None:
        """Ask the probes with the draft that is in use, or on trial."""
        results = [ask(self._device, task, consent=False) for task in self._probes]
        self._answers += len(results)
        self._texts.add(tuple(result.text for result in results))

    def ask(self, task: Task) -> None:
        """And see to updates now and then."""
        ask(self._device, task, consent=True)
        self._answers += 1
        self._since_step += 1
        if self._since_step == _STEP_EVERY:
            self.step()

    def step(self) -> None:
        """Until there is nothing to do at the moment."""
        self._since_step = 0
        step = self._step()
        while step.again:
            step = self._step()

    def settle(self, domains: tuple[str, ...], seed: int, most: int) -> None:
        """Ask until no draft is on trial, or for so long."""
        batches = [tasks_of(domain, seed, most, Split.TRAINING) for domain in domains]
        self.step()
        for tasks in zip(*batches, strict=True):
            if self.pointer.trial is None:
                return
            for task in tasks:
                self.ask(task)

    def _step(self) -> Step:
        before = self.pointer.trial
        step = self._updates.step(lambda phase: None, lambda there, of: None)
        if self.pointer.trial is not None and before is None:
            self._begun = self._answers
        if step.state in (State.COMMITTED, State.REVERTED, State.REFUSED):
            ending = Ending(step.state, step.release, self._answers - self._begun)
            self._endings.append(ending)
        if step.state is not State.UP_TO_DATE and self.pointer.trial != before:
            self._say(f"after {self._answers} answers: {step.text}")
        return step
