"""The shipped pair at work: a real cloud process, a real draft, and the target alone to compare."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from outrider_cloud.reference import Reference, measure_epsilon
from outrider_cloud.shipped import resolve
from outrider_cloud.target import Target, load_target
from outrider_cloud.transformers_engine.engine import TransformersEngine
from outrider_edge.answer import Result
from outrider_edge.client import Address
from outrider_edge.cloud_process import CloudProcess
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device, DeviceSettings
from outrider_protos.words import Sampling

TASKS = SHIPPED_DRAFT.parent / "demo-tasks.jsonl"


def prompts(*domains: str, count: int) -> list[str]:
    """The first held-out prompts of each domain."""
    tasks = [json.loads(line) for line in TASKS.read_text(encoding="utf-8").splitlines()]
    return [t["prompt"] for d in domains for t in [t for t in tasks if t["domain"] == d][:count]]


@contextmanager
def device_for(address: str, draft: Path = SHIPPED_DRAFT) -> Iterator[Device]:
    with Device(DeviceSettings(draft=draft, cloud=Address(target=address))) as device:
        yield device


@dataclass(frozen=True, slots=True)
class Judge:
    """The target alone, and how far rounding may carry it."""

    target: Target
    reference: Reference

    def differences(self, result: Result, sampling: Sampling, max_tokens: int) -> list[int]:
        """Positions where the answer leaves the target's own path, near-ties left out.

        After a near-tie the texts go separate ways, so the target is asked again from the answer.
        """
        log = list(result.prompt + result.tokens)
        epsilon = self.epsilon(log, sampling)
        at, end, found = len(result.prompt), len(result.prompt) + max_tokens, []
        while at < len(log):
            alone = self.reference.generate(log[:at], sampling, end)
            same = _common(log[at:], alone)
            at += same
            if same == len(alone) and at == len(log):
                break
            if self.reference.gap_at(log[:at], sampling) >= epsilon:
                found.append(at)
            at += 1
        return found

    def epsilon(self, log: Sequence[int], sampling: Sampling) -> float:
        engine = TransformersEngine(self.target, threads=1)
        return measure_epsilon(engine, self.reference, [log], sampling.temperature)


def make_judge() -> Judge:
    target = load_target(resolve("demo"))
    return Judge(target, Reference(target))


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


__all__ = ["CloudProcess", "Judge", "device_for", "make_judge", "prompts"]
