"""The learning loop at work: a device, a cloud that records, a worker that learns, and a stream of
questions the draft knows nothing about.

Three processes of this machine: the device is this one. Each new file the worker puts forward is
swapped in between two answers. It prints nothing.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from outrider_cloud.records.shards import Store
from outrider_cloud.records.writer import ShardWriter
from outrider_cloud.shipped import DEMO, resolve
from outrider_edge.answer import Result
from outrider_edge.client import Address
from outrider_edge.cloud_process import CloudProcess
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device, DeviceSettings
from outrider_edge.options import Options
from outrider_edge.questions import Question
from outrider_protos.words import Sampling
from outrider_training.errors import WorkerEndedError
from outrider_training.gate import Pair, StepTimes, Terms, Verdict, judge
from outrider_training.generate import Generate, generate
from outrider_training.outbox import CURRENT
from outrider_training.replay import Replayer
from outrider_training.tasks import DOMAINS, Split, Task
from outrider_training.tasks import generate as tasks_of

STREAM: Final = ("sql", "vietnamese")  # what is asked
OTHERS: Final = ("english", "python", "japanese")  # where it must not get worse
MARGIN: Final = 0.03
_WORKER_MARGIN: Final = 0.02  # which sees other answers than the ones judged by at the end
_OPTIONS: Final = Options(max_tokens=96)
_HELD_OUT_SEED, _STREAM_SEED, _WARM_UP_SEED = 2026, 11, 12
LOSE_HEART_S: Final = 90.0  # without news from the worker, after the last question

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of everything."""

    requests: int = 320
    pace_s: float = 0.6  # from one question to the next, at least
    warm_up: int = 120  # answers of each of the other domains, written before
    held_out: int = 20  # answers of each domain to judge by


@dataclass(frozen=True, slots=True)
class Known:
    """A draft on the held-out answers of one domain."""

    acceptance: float
    tokens_per_s: float
    agreed: tuple[tuple[bool, ...], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of the stream."""

    domain: str
    acceptance: float
    updated: bool  # a new draft was swapped in just before it


@dataclass(frozen=True, slots=True)
class Learning:
    """What the demo found out."""

    before: dict[str, Known]
    after: dict[str, Known]
    stream: tuple[Asked, ...]
    updates: int
    verdict: Verdict
    seconds: float


def run_learning(scale: Scale, say: Say) -> Learning:
    """Raises what a device, a cloud process or the worker raises."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        records, drafts = Path(folder) / "records", Path(folder) / "drafts"
        say(f"the target answers some {', '.join(OTHERS)}: there nothing may get worse")
        warm_up(records, scale.warm_up)
        say("starting a cloud that keeps answers, and a worker that learns from them")
        keep = ("--records", str(records), "--records-every-s", "1")
        with CloudProcess(DEMO, *keep) as cloud, worker_on(records, drafts) as worker:
            settings = DeviceSettings(draft=SHIPPED_DRAFT, cloud=Address(target=cloud.address))
            with Device(settings) as device:
                return _learn(device, worker, drafts, scale, say, began_s)


def _learn(
    device: Device,
    worker: "subprocess.Popen[bytes]",
    drafts: Path,
    scale: Scale,
    say: Say,
    began_s: float,
) -> Learning:
    held_out = {domain: tasks_of(domain, _HELD_OUT_SEED, scale.held_out) for domain in DOMAINS}
    before = _measure(device, SHIPPED_DRAFT, held_out)
    say(f"asking {scale.requests} questions about {' and '.join(STREAM)}")
    inbox = _Inbox(drafts, device)
    stream = []
    for number, task in enumerate(stream_of(scale.requests)):
        next_s = time.monotonic() + scale.pace_s
        check_alive(worker)
        updated = inbox.look()
        result = ask(device, task, consent=True)
        with Replayer(inbox.current) as replayer:
            agreed = _agreed(replayer, result)
        stream.append(Asked(task.domain, sum(agreed) / len(agreed), updated))
        if updated:
            say(f"after {number} questions: a better draft is swapped in")
        time.sleep(max(0.0, next_s - time.monotonic()))
    say("waiting for the last update")
    worker.wait(LOSE_HEART_S)
    inbox.look()
    after = _measure(device, inbox.current, held_out)
    return Learning(
        before,
        after,
        tuple(stream),
        inbox.updates,
        _verdict(before, after),
        time.monotonic() - began_s,
    )


class _Inbox:
    """The worker's folder, as a device sees it."""

    def __init__(self, folder: Path, device: Device) -> None:
        self.current = SHIPPED_DRAFT
        self.updates = 0
        self._pointer, self._device = folder / CURRENT, device

    def look(self) -> bool:
        """Swap in what is new; whether there was something."""
        if not self._pointer.is_file():
            return False
        named = json.loads(self._pointer.read_text(encoding="utf-8"))["file"]
        file = self._pointer.with_name(named)
        if file == self.current:
            return False
        self._device.swap_draft(file)
        self.current, self.updates = file, self.updates + 1
        return True


def warm_up(records: Path, count: int) -> None:
    """Records of the target's own answers, of all other domains."""
    questions = [
        Question(prompt=task.prompt, domain=domain)
        for domain in OTHERS
        for task in tasks_of(domain, _WARM_UP_SEED, count, Split.TRAINING)
    ]
    wish = Generate(
        target=resolve(DEMO),
        questions=questions,
        sampling=Sampling(),
        max_tokens=_OPTIONS.max_tokens,
        raw=False,
        domain=None,
    )
    with ShardWriter(Store(str(records))) as writer:
        generate(wish, writer, lambda tokens: None)


@contextmanager
def worker_on(records: Path, drafts: Path, *more: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`outrider-train worker`, until it has heard of nothing new for a while."""
    rules = ("--every", "40", "--steps", "40", "--held-back", "16", "--margin", str(_WORKER_MARGIN))
    ends = ("--poll-s", "0.5", "--idle-exit-s", "8", "--draft", str(SHIPPED_DRAFT))
    command = [sys.executable, "-P", "-m", "outrider_training", "worker", str(records), str(drafts)]
    worker = subprocess.Popen(
        [*command, *rules, *ends, *more], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def check_alive(worker: "subprocess.Popen[bytes]") -> None:
    """Raises WorkerEndedError if it died."""
    if worker.poll() not in (None, 0):
        raise WorkerEndedError(worker.returncode)


def stream_of(count: int) -> list[Task]:
    """The domains in turn."""
    by_domain = [tasks_of(d, _STREAM_SEED, -(-count // 2), Split.TRAINING) for d in STREAM]
    return list(chain.from_iterable(zip(*by_domain, strict=True)))[:count]


def ask(device: Device, task: Task, *, consent: bool) -> Result:
    """A task as a conversation of its own."""
    options = Options(max_tokens=_OPTIONS.max_tokens, consent=consent, domain=task.domain)
    with device.session(options) as session:
        return session.ask(task.prompt).result()


def _agreed(replayer: Replayer, result: Result) -> tuple[bool, ...]:
    return replayer.replay(result.prompt, result.tokens, result.sampling).agreed


def _measure(
    device: Device, draft: Path, held_out: dict[str, tuple[Task, ...]]
) -> dict[str, Known]:
    """The device answers what nobody learns from, with the draft that it has."""
    found = {}
    with Replayer(draft) as replayer:
        for domain, tasks in held_out.items():
            results = [ask(device, task, consent=False) for task in tasks]
            agreed = tuple(_agreed(replayer, result) for result in results)
            tokens = sum(map(len, agreed))
            seconds = sum(result.seconds for result in results)
            found[domain] = Known(sum(map(sum, agreed)) / tokens, tokens / seconds, agreed)
    return found


def _verdict(before: dict[str, Known], after: dict[str, Known]) -> Verdict:
    pairs = [
        Pair(domain, new, old)
        for domain in before
        for new, old in zip(after[domain].agreed, before[domain].agreed, strict=True)
    ]
    return judge(pairs, StepTimes(1.0, 1.0), Terms(margin=MARGIN))


def mean_acceptance(asked: Sequence[Asked]) -> float:
    """Of a part of the stream."""
    return sum(each.acceptance for each in asked) / len(asked)
