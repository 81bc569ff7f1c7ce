"""What is never published; the repository is then as it was, to the byte."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from outrider_edge.errors import BadModelFile, DraftError
from outrider_training.errors import ModelUnreadableError
from outrider_training.releases.description import Wishes
from outrider_training.releases.errors import EvidenceError, RepositoryFullError, RolloutError
from tests.simulators.gguf_files import TinyModel
from tests.training.releases.scene import (
    Scene,
    gate_report,
    learnt,
    tiny_adapter,
    tiny_draft,
)


@contextmanager
def refused(scene: Scene, kind: type[Exception], match: str) -> Iterator[None]:
    before = {p: p.read_bytes() for p in scene.place.rglob("*") if p.is_file()}
    with pytest.raises(kind, match=match):
        yield
    assert before == {p: p.read_bytes() for p in scene.place.rglob("*") if p.is_file()}


def edited(report: Path, **changes: Any) -> Path:
    said = json.loads(report.read_text())
    report.write_text(json.dumps(said | changes))
    return report


def test_a_draft_that_the_gate_refused(scene: Scene, factory: Path, second: Path) -> None:
    report = gate_report(second.parent, second, factory, objections=("sql loses 0.1",))
    with refused(scene, EvidenceError, r"second\.json .* the gate refused it: sql loses 0\.1"):
        scene.publish(second, report)


def test_a_report_on_another_file(scene: Scene, second: Path) -> None:
    report = second.with_suffix(".json")
    second.write_bytes(second.read_bytes()[:-1] + b"x")
    with refused(scene, EvidenceError, "speaks of another file than second.gguf"):
        scene.publish(second, report)


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json", '{"verdict": {"passed": true}}'])
def test_something_that_is_no_report(scene: Scene, second: Path, text: str) -> None:
    report = second.with_suffix(".json")
    report.write_text(text)
    with refused(scene, EvidenceError, "it is no report"):
        scene.publish(second, report)


def test_a_report_that_is_not_there_or_far_too_long(scene: Scene, second: Path) -> None:
    with refused(scene, EvidenceError, "No such file"):
        scene.publish(second, second.with_name("nothing.json"))
    report = second.with_suffix(".json")
    report.write_text(report.read_text() + " " * (1 << 20))
    with refused(scene, EvidenceError, "longer than any report"):
        scene.publish(second, report)


def test_figures_that_a_device_would_not_read(scene: Scene, second: Path) -> None:
    report = second.with_suffix(".json")
    report.write_text(report.read_text().replace('"acceptance":0.7', '"acceptance":1.7'))
    with refused(scene, EvidenceError, r"acceptance has no possible value"):
        scene.publish(second, report)
    with refused(scene, EvidenceError, "it is no report"):
        scene.publish(second, edited(report, trained_on="none"))


@pytest.mark.parametrize("promoted", [True, False])
def test_a_comparison_with_a_draft_that_is_not_current(
    scene: Scene, factory: Path, second: Path, tmp_path: Path, promoted: bool
) -> None:
    """With the release that is on its way it may be compared too."""
    scene.publish(second, second.with_suffix(".json"))
    if promoted:
        scene.roll_out(lambda state: state.promote())
    third = learnt(second, "third.gguf", 2)
    stale = gate_report(tmp_path, third, factory)
    with refused(scene, EvidenceError, "the old draft is no current release of the line"):
        scene.publish(third, stale)


def test_a_first_release_is_compared_with_what_devices_come_with(
    scene: Scene, factory: Path, second: Path, tmp_path: Path
) -> None:
    other, folder = learnt(second, "other.gguf", 2), tmp_path / "elsewhere"
    folder.mkdir()
    report = gate_report(folder, second, other)
    with refused(scene, EvidenceError, "the old draft is no current release of the line"):
        scene.publish(second, report, factory=factory)
    assert scene.publish(second, second.with_suffix(".json"), factory=factory).number == 1


def test_an_adapter_without_a_reason(
    scene: Scene, factory: Path, second: Path, tmp_path: Path
) -> None:
    lora, report = tiny_adapter(tmp_path), second.with_suffix(".json")
    with refused(scene, EvidenceError, "no report of its own"):
        scene.publish(second, report, adapter=lora)
    with refused(scene, EvidenceError, "speaks of another file than lora.gguf"):
        scene.publish(second, report, adapter=lora, adapter_report=report)
    strange = tiny_draft(tmp_path, "strange.gguf", TinyModel(seed=5))
    told = gate_report(tmp_path, lora, factory, base=strange)
    with refused(scene, EvidenceError, "the file below the adapter is no current release"):
        scene.publish(second, report, adapter=lora, adapter_report=told)
    told = gate_report(tmp_path, lora, factory)
    with refused(scene, EvidenceError, "the file below the adapter"):
        scene.publish(second, report, adapter=lora, adapter_report=told)
    with refused(scene, EvidenceError, r"second\.gguf .* it is no adapter"):
        scene.publish(second, report, adapter=second, adapter_report=report)


@pytest.mark.parametrize("name", ["", "Demo", "a/b", "../up", "x" * 65, "targets json"])
def test_names_that_no_line_can_have(scene: Scene, second: Path, name: str) -> None:
    with refused(scene, RolloutError, "cannot name a line"):
        scene.publish(second, second.with_suffix(".json"), line=name)


def test_drafts_that_cannot_run(scene: Scene, factory: Path, tmp_path: Path) -> None:
    cut, poisoned = tmp_path / "cut.gguf", tmp_path / "poisoned.gguf"
    cut.write_bytes(factory.read_bytes()[:-5000])
    with refused(scene, BadModelFile, "cut short"):
        scene.publish(cut, gate_report(tmp_path, cut, factory))
    tiny_draft(tmp_path, poisoned.name, TinyModel(poisoned=0))
    with refused(scene, DraftError, "logits are broken"):
        scene.publish(poisoned, gate_report(tmp_path, poisoned, factory))
    with refused(scene, ModelUnreadableError, "No such file"):
        scene.publish(tmp_path / "none.gguf", gate_report(tmp_path, factory, factory))


@pytest.mark.parametrize("runtime", ["", "new", "1.2.3.4.5", "0.3-dev"])
def test_versions_that_are_none(scene: Scene, second: Path, runtime: str) -> None:
    with refused(scene, EvidenceError, "runtime has no possible value"):
        scene.publish(second, second.with_suffix(".json"), wishes=Wishes(runtime=runtime))


def test_more_than_devices_read(scene: Scene, second: Path) -> None:
    domains = tuple(f"{number:020000}" for number in range(256))
    with refused(scene, RepositoryFullError, "longer than the 5,000,000 bytes"):
        scene.publish(second, second.with_suffix(".json"), wishes=Wishes(domains=domains))
