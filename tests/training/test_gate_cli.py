"""`outrider-train gate` on real drafts and real records."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from outrider_cloud.records.shards import Store
from outrider_protos.words import Distance, Rollback
from outrider_training.cli import app
from outrider_training.cli_gate import REFUSED
from outrider_training.demo_models import PairPaths
from outrider_training.errors import (
    ModelUnreadableError,
    NothingToJudgeError,
    TokenizersDifferError,
)
from outrider_training.manifest import manifest_of
from outrider_training.tasks import Split, generate
from tests.simulators.gguf_files import TinyModel, write_gguf

SHARE = ("--held-out", "0.3")


def outrider_train(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    prompts = folder / "prompts.jsonl"
    tasks = [t for d in ("vietnamese", "python") for t in generate(d, 5, 40, Split.TRAINING)]
    lines = (json.dumps({"prompt": task.prompt, "domain": task.domain}) for task in tasks)
    prompts.write_text("\n".join(lines), encoding="utf-8")
    told = ("--target", "demo", "--prompts", prompts, "--output", folder / "shards")
    assert outrider_train("generate", *told).exit_code == 0
    return folder / "shards"


@pytest.fixture(scope="module")
def learnt(records: Path, shipped: PairPaths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learnt")
    told = ("--draft", shipped.draft, "--scratch", folder / "scratch", "--steps", 40, *SHARE)
    result = outrider_train("distil", records, folder / "new.gguf", *told)
    assert result.exit_code == 0, result.output
    return folder / "new.gguf"


def gate(new: Path, old: Path, records: Path, *flags: object) -> Result:
    return outrider_train("gate", new, old, "--records", records, *SHARE, *flags)


def test_what_has_learnt_passes_and_leaves_a_report(
    learnt: Path, shipped: PairPaths, records: Path, tmp_path: Path
) -> None:
    told = ("--report", tmp_path / "report", "--margin", "0.1", "--json")
    result = gate(learnt, shipped.draft, records, *told)
    assert result.exit_code == 0, result.output
    said: dict[str, Any] = json.loads(result.stdout)
    verdict = said["verdict"]
    assert verdict["passed"]
    assert verdict["overall"]["answers"] == 24
    assert verdict["overall"]["low"] > 0
    vietnamese = verdict["domains"]["vietnamese"]
    assert vietnamese["new"]["acceptance"] > vietnamese["old"]["acceptance"] + 0.1
    assert vietnamese["new"]["tokens_per_round"] > vietnamese["old"]["tokens_per_round"]
    for gain in (verdict["overall"]["tokens_per_round"], verdict["overall"]["tokens_per_s"]):
        assert gain["low"] < gain["difference"] < gain["high"]
    assert verdict["overall"]["tokens_per_round"]["low"] > 0
    written = (tmp_path / "report" / "gate.json").read_text()
    assert json.loads(written) == said
    assert written == json.dumps(said, sort_keys=True, separators=(",", ":"))
    page = (tmp_path / "report" / "gate.html").read_text()
    assert said["new_sha256"] in page
    assert "<svg" in page


def test_the_old_one_in_the_place_of_the_new_is_refused(
    learnt: Path, shipped: PairPaths, records: Path
) -> None:
    result = gate(shipped.draft, learnt, records)
    assert result.exit_code == REFUSED
    assert "refused: vietnamese loses" in result.stdout
    assert "refused: it may be no better" in result.stdout


def test_prompts_the_draft_was_trained_on_do_not_count(
    learnt: Path, shipped: PairPaths, records: Path, tmp_path: Path
) -> None:
    """All of the newest half, where the lesson kept back less than a third."""
    wide = outrider_train(
        "gate", learnt, shipped.draft, "--records", records, "--held-out", "0.5", "--json"
    )
    said = json.loads(wide.stdout)
    assert (said["trained_on"], said["verdict"]["overall"]["answers"]) == (16, 24)
    assert len(manifest_of(learnt)) == 56
    broken = tmp_path / "new.gguf"
    broken.write_bytes(learnt.read_bytes())
    broken.with_suffix(".trained.json").write_text("{}")
    assert isinstance(gate(broken, shipped.draft, records).exception, ModelUnreadableError)


def test_text_that_depends_on_a_draft_is_never_judged_by(
    learnt: Path, shipped: PairPaths, records: Path, tmp_path: Path
) -> None:
    store, other = Store(str(records)), Store(str(tmp_path))
    rollback = Rollback(threshold=2.0, distance=Distance.SURPRISE)
    known = [record for path in store.paths() for record in store.read(path)]
    other.write("anna", [replace(record, rollback=rollback) for record in known])
    refused = gate(learnt, shipped.draft, tmp_path)
    assert isinstance(refused.exception, NothingToJudgeError)
    other.write("anna", known)
    said = json.loads(gate(learnt, shipped.draft, tmp_path, "--json").stdout)
    assert (said["not_exact"], said["verdict"]["overall"]["answers"]) == (80, 24)


def test_drafts_of_two_tokenizers_are_not_compared(
    learnt: Path, records: Path, tmp_path: Path
) -> None:
    strange = write_gguf(tmp_path / "strange.gguf", TinyModel())
    for pair in ((learnt, strange), (strange, learnt)):
        assert isinstance(gate(*pair, records).exception, TokenizersDifferError)
