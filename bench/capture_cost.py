"""What recording costs: the same answers of one server, with and without the device's consent.

    python -m bench.capture_cost --output docs/results/capture-cost.md

Cloud and device have a core each; the recorder's thread shares the cloud's. Answers are
interleaved, ratios are of medians. Give `--target`, `--draft` and `--prompts` for another pair.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.children import child, port_of
from bench.pin import Place
from bench.prompts import read_prompts
from bench.report import Report
from bench.samples import Ratio, Samples, speedup
from outrider_cloud.records.shards import Store
from outrider_cloud.shipped import DEMO, resolve
from outrider_edge.client import Address
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device, DeviceSettings
from outrider_edge.options import Mode, Options
from outrider_edge.questions import read_questions

CLOUD, DEVICE = Place(core=0), Place(core=1)
TASKS = SHIPPED_DRAFT.parent / "demo-tasks.jsonl"
ANSWERS = 8
MODES = {
    "cloud alone, streamed": Options(mode=Mode.CLOUD, max_tokens=96),
    "exact, infinite patience": Options(max_tokens=96),
    "exact, patience 0": Options(max_tokens=96, patience_ms=0.0),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Speed with consent over speed without, and what was kept."""

    ratios: dict[str, Ratio]
    records: int
    tokens: int
    bytes: int


def measure(target: str, draft: Path, texts: Sequence[str], repeats: int, folder: Path) -> Cost:
    """Every answer by every mode with and without consent, in an order of its own each time."""
    options = ["--listen", "127.0.0.1:0", "--threads", "1", "--json", "--records", str(folder)]
    command = [sys.executable, "-m", "outrider_cloud", "serve", "--target", target, *options]
    samples = {(name, consent): Samples() for name in MODES for consent in (False, True)}
    with child(CLOUD, command) as (_, said):
        address = Address(target=f"127.0.0.1:{port_of(said['address'])}")
        with Device(DeviceSettings(draft=draft, cloud=address)) as device:
            for seed in range(repeats + 1):
                turns = [(index, key) for index in range(len(texts)) for key in samples]
                random.Random(seed).shuffle(turns)
                for index, key in turns:
                    seconds = _seconds(device, *key, texts[index])
                    if seed:  # the first round warms everything
                        samples[key].add(index, seconds)
    ratios = {name: speedup(samples[name, False], samples[name, True]) for name in MODES}
    store = Store(str(folder))
    records = [record for path in store.paths() for record in store.read(path)]
    size = sum(store.look(path).size_bytes for path in store.paths())
    return Cost(ratios, len(records), sum(len(record.tokens) for record in records), size)


def _seconds(device: Device, mode: str, consent: bool, text: str) -> float:
    with device.session(replace(MODES[mode], consent=consent)) as session:
        result = session.ask(text).result()
    return result.seconds / len(result.tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of recording answers.")
    parser.add_argument("--target", default=resolve(DEMO), help="a transformers folder")
    parser.add_argument("--draft", type=Path, default=SHIPPED_DRAFT, help="a GGUF file")
    parser.add_argument("--prompts", type=Path, help="see bench.prompts; else the demo's tasks")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    DEVICE.take()
    if arguments.prompts is None:
        texts = [question.prompt for question in read_questions(TASKS)][:: 200 // ANSWERS]
    else:
        texts = read_prompts(arguments.prompts, ANSWERS)
    with tempfile.TemporaryDirectory() as folder:
        cost = measure(
            arguments.target, arguments.draft, texts, arguments.repeats, Path(folder) / "records"
        )
    report = Report("The cost of recording", sys.argv)
    report.say(
        f"{len(texts)} answers, {arguments.repeats} repetitions, with and without consent at one "
        "server; the cloud has core 0, the recorder's thread included, the device core 1. Tokens "
        "a second with consent over those without, with a bootstrap's 95 % interval; at least 0.98 "
        "is wanted."
    )
    rows = [
        (name, f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})")
        for name, ratio in cost.ratios.items()
    ]
    report.table(("mode", "with over without"), rows)
    report.say(
        f"{cost.records:,} records of {cost.tokens:,} tokens took {cost.bytes:,} bytes: "
        f"{cost.bytes / cost.tokens:.0f} a token."
    )
    report.write(arguments.output)


if __name__ == "__main__":
    main()
