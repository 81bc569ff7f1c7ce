"""A repository with its keys, tiny drafts, and reports of gates that let them pass."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFType, GGUFWriter

from outrider_edge.llama.gguf_header import read_header
from outrider_training.examination import Report
from outrider_training.gate import Comparison, Figures, Gain, StepTimes, Terms, Verdict
from outrider_training.gate_report import report_json
from outrider_training.manifest import sha256_of
from outrider_training.releases import ceremony
from outrider_training.releases.ceremony import Hands
from outrider_training.releases.destination import Destination
from outrider_training.releases.files import FileDestination, LocalFiles
from outrider_training.releases.key_folder import KeyFolder
from outrider_training.releases.line_state import LineState
from outrider_training.releases.press import Publication
from outrider_training.releases.publication import Published, publish, roll_out
from outrider_training.releases.repository import Repository
from tests.simulators.gguf_files import TinyModel, write_gguf
from tests.simulators.release_reader import ReleaseReader

LINE = "demo"
_GAIN = Gain(difference=0.2, low=0.1, high=0.3)


@dataclass
class Scene:
    """All in one folder. `clock` is the publisher's."""

    folder: Path
    destination: Destination = field(init=False)
    readers: int = 0
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.destination = FileDestination(LocalFiles(self.place))

    @property
    def place(self) -> Path:
        return self.folder / "repository"

    @property
    def hands(self) -> Hands:
        return Hands(KeyFolder(self.folder / "offline"), KeyFolder(self.folder / "online"))

    @property
    def repository(self) -> Repository:
        return Repository(self.destination, now=lambda: self.clock())

    @property
    def root(self) -> bytes:
        """The first, which devices came with."""
        return (self.folder / "root.json").read_bytes()

    def begin(self, keys: int = 1, threshold: int = 1) -> "Scene":
        anchor = self.folder / "root.json"
        ceremony.create(self.repository, self.hands, keys=keys, threshold=threshold, anchor=anchor)
        return self

    def reader(self) -> ReleaseReader:
        """A device that was never there before."""
        self.readers += 1
        return ReleaseReader(self.place, self.folder / f"reader-{self.readers}", self.root)

    def publish(self, draft: Path, report: Path, **wishes: Any) -> Published:
        wish = replace(Publication(line=LINE, draft=draft, report=report), **wishes)
        return publish(wish, self.repository, self.hands.online)

    def roll_out(self, step: Callable[[LineState], LineState]) -> LineState:
        return roll_out(LINE, step, self.repository, self.hands.online)


def tiny_draft(folder: Path, name: str = "first.gguf", model: TinyModel | None = None) -> Path:
    return write_gguf(folder / name, model or TinyModel())


def learnt(draft: Path, name: str, seed: int) -> Path:
    """A draft of the same mould with slightly other weights."""
    data = bytearray(draft.read_bytes())
    offset = read_header(draft).weights_offset
    weights = np.frombuffer(data, np.float32, offset=offset)
    changed = np.random.default_rng(seed).random(weights.size) < 0.05
    weights[changed] *= 1 + 1e-3
    target = draft.with_name(name)
    target.write_bytes(data)
    return target


def tiny_adapter(folder: Path, rank: int = 1) -> Path:
    """A LoRA of one matrix."""
    writer = GGUFWriter(folder / "lora.gguf", "llama")
    writer.add_type(GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 1.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((rank, 64), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "lora.gguf"


def report_of(
    new: Path, old: Path, *, base: Path | None = None, objections: tuple[str, ...] = ()
) -> Report:
    """What a gate found that compared these two."""
    better = Figures(acceptance=0.7, tokens_per_round=3.0, tokens_per_s=90.0)
    worse = Figures(acceptance=0.5, tokens_per_round=2.0, tokens_per_s=60.0)
    found = Comparison(
        answers=40, positions=900, new=better, old=worse, difference=0.2, low=0.1, high=0.3,
        tokens_per_round=_GAIN, tokens_per_s=_GAIN,
    )  # fmt: skip
    return Report(
        new_sha256=sha256_of(new),
        old_sha256=sha256_of(old),
        base_sha256=None if base is None else sha256_of(base),
        terms=Terms(),
        steps=StepTimes(0.004, 0.004),
        verdict=Verdict(
            overall=found, domains={"": found, "vietnamese": found}, objections=objections
        ),
        not_exact=0,
        trained_on=0,
        oldest_s=1.0,
        newest_s=2.0,
    )


def gate_report(
    folder: Path,
    new: Path,
    old: Path,
    *,
    base: Path | None = None,
    objections: tuple[str, ...] = (),
) -> Path:
    """Its file, as `outrider-train gate --report` writes it."""
    place = folder / f"{new.stem}.json"
    report = report_of(new, old, base=base, objections=objections)
    place.write_text(report_json(report), encoding="utf-8")
    return place
