"""`outrider-train distil` on real records of the demo pair: a GGUF file that agrees more."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from outrider_edge.errors import BadModelFile
from outrider_training.cli import app
from outrider_training.demo_models import PairPaths
from outrider_training.errors import (
    LoraNeededError,
    ModelUnreadableError,
    MouldMismatchError,
    MouldMissingError,
    NothingToJudgeError,
    NothingToLearnError,
    TargetNeededError,
    TargetUnwritableError,
    TrainingError,
    WeightsDivergedError,
)
from outrider_training.manifest import manifest_of
from outrider_training.search import Search
from outrider_training.tasks import Split, generate
from tests.simulators.gguf_files import TinyModel, write_gguf

QUICK = ("--steps", "30", "--batch", "8", "--learning-rate", "3e-3")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    prompts = folder / "prompts.jsonl"
    tasks = [t for d in ("vietnamese", "python") for t in generate(d, 5, 30, Split.TRAINING)]
    lines = (json.dumps({"prompt": task.prompt, "domain": task.domain}) for task in tasks)
    prompts.write_text("\n".join(lines), encoding="utf-8")
    told = ("--target", "demo", "--prompts", str(prompts), "--output", str(folder / "shards"))
    assert CliRunner().invoke(app, ["generate", *told]).exit_code == 0
    return folder / "shards"


def distil(
    records: Path, folder: Path, draft: Path, *flags: str, expect: type[Exception] | None = None
) -> Result:
    arguments = [str(records), str(folder / "new.gguf"), "--draft", str(draft)]
    scratch = ("--scratch", str(folder / "scratch"))
    result = CliRunner().invoke(app, ["distil", *arguments, *scratch, *flags])
    if expect is None:
        assert result.exit_code == 0, result.output
    else:
        assert isinstance(result.exception, expect)
        assert not (folder / "new.gguf").exists()
    return result


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--loss", "jsd", "--beta", "0.3", "--bfloat16"),
        ("--lora", "8", "--learning-rate", "1e-2"),
        pytest.param(
            ("--source", "mixed", "--target", "demo", "--steps", "12"), marks=pytest.mark.long
        ),
    ],
    ids=["full", "jsd in bfloat16", "lora", "mixed samples"],
)
def test_the_draft_learns_what_it_did_not_know(
    records: Path, shipped: PairPaths, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    result = distil(records, tmp_path, shipped.draft, *QUICK, *flags, "--json")
    said: dict[str, Any] = json.loads(result.stdout)
    assert said["records"] == 60
    assert said["after"]["vietnamese"] > said["before"]["vietnamese"] + 0.05
    assert said["after"]["python"] > 0.7
    assert (tmp_path / "new.gguf").stat().st_size == shipped.draft.stat().st_size
    assert (tmp_path / "new.gguf").read_bytes() != shipped.draft.read_bytes()
    manifest = json.loads((tmp_path / "new.trained.json").read_text())
    assert len(manifest["prompts"]) == len(set(manifest["prompts"])) > 40


def test_a_lora_is_written_alone_as_well(records: Path, shipped: PairPaths, tmp_path: Path) -> None:
    """Under it the old file agrees with the target as the merged one does."""
    adapter = tmp_path / "lora.gguf"
    flags = ("--lora", "8", "--learning-rate", "1e-2", "--adapter", str(adapter))
    distil(records, tmp_path, shipped.draft, *QUICK, *flags)
    assert adapter.stat().st_size < shipped.draft.stat().st_size / 5
    assert manifest_of(adapter) == manifest_of(tmp_path / "new.gguf") != frozenset()
    told = ["gate", str(adapter), str(tmp_path / "new.gguf"), "--records", str(records), "--json"]
    judged = CliRunner().invoke(app, [*told, "--base", str(shipped.draft), "--fewest", "1"])
    overall = json.loads(judged.stdout)["verdict"]["overall"]
    assert abs(overall["difference"]) < 0.05
    nearest = CliRunner().invoke(app, told)
    assert isinstance(nearest.exception, BadModelFile)
    distil(records, tmp_path / "full", shipped.draft, "--adapter", "x", expect=LoraNeededError)


def test_a_table_for_people(records: Path, shipped: PairPaths, tmp_path: Path) -> None:
    result = distil(records, tmp_path, shipped.draft, "--steps", "1")
    assert "agreement with the target on held-out answers" in result.stdout
    assert "vietnamese" in result.stdout


def test_a_finished_run_leaves_nothing_to_go_on_from(
    records: Path, shipped: PairPaths, tmp_path: Path
) -> None:
    """So the next one, of other records perhaps, begins anew; the same one writes the same file."""
    distil(records, tmp_path, shipped.draft, "--steps", "3")
    assert not list((tmp_path / "scratch").glob("*.checkpoint"))
    first = (tmp_path / "new.gguf").read_bytes()
    distil(records, tmp_path, shipped.draft, "--steps", "2")
    assert (tmp_path / "new.gguf").read_bytes() != first
    distil(records, tmp_path, shipped.draft, "--steps", "3")
    assert (tmp_path / "new.gguf").read_bytes() == first


@pytest.mark.long
def test_a_loss_is_searched_for_each_domain(
    records: Path, shipped: PairPaths, tmp_path: Path
) -> None:
    flags = ("--search", "--search-steps", "6", "--steps", "4")
    said = json.loads(distil(records, tmp_path, shipped.draft, *flags, "--json").stdout)
    assert len(said["trials"]) == 2 * len(Search().losses)
    for domain, loss in said["losses"].items():
        tried = {t["loss"]: t["agreement"] for t in said["trials"] if t["domain"] == domain}
        assert tried[loss] == max(tried.values())
    told = distil(records, tmp_path, shipped.draft, *flags).stdout
    assert f"vietnamese: {said['losses']['vietnamese']} (forward-kl " in told


def test_what_cannot_be_is_said(records: Path, shipped: PairPaths, tmp_path: Path) -> None:
    draft = shipped.draft
    (tmp_path / "empty").mkdir()
    distil(tmp_path / "empty", tmp_path, draft, expect=NothingToLearnError)
    distil(records, tmp_path, draft, "--positions", "rejected", expect=NothingToLearnError)
    distil(records, tmp_path, draft, "--source", "student", expect=TargetNeededError)
    distil(records, tmp_path, shipped.target, expect=MouldMissingError)
    strange = write_gguf(tmp_path / "strange.gguf", TinyModel())
    distil(records, tmp_path, strange, expect=NothingToLearnError)
    (tmp_path / "half.gguf").write_bytes(draft.read_bytes()[:9000])
    failed = distil(records, tmp_path, tmp_path / "half.gguf", expect=Exception)
    assert isinstance(failed.exception, TrainingError) or "half.gguf" in str(failed.exception)


def test_what_a_draft_learnt_from_follows_its_descendants(
    records: Path, shipped: PairPaths, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    distil(records, tmp_path / "one", shipped.draft, "--steps", "1", "--held-out", "0")
    parent = tmp_path / "one" / "new.gguf"
    child = tmp_path / "two" / "new.gguf"
    distil(records, tmp_path / "two", parent, "--steps", "1", "--held-out", "0.5")
    assert manifest_of(child) == manifest_of(parent)
    told = ["gate", str(child), str(shipped.draft), "--records", str(records), "--held-out", "1"]
    assert isinstance(CliRunner().invoke(app, told).exception, NothingToJudgeError)
    parent.write_bytes(child.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelUnreadableError, match="speaks of another file"):
        manifest_of(parent)


def test_what_will_not_fit_is_said_before_anything_is_learnt(
    records: Path, shipped: PairPaths, tmp_path: Path
) -> None:
    told = [str(records), "--draft", str(shipped.draft), "--steps", "100000"]

    def refused(output: str, *flags: str) -> BaseException | None:
        scratch = ("--scratch", str(tmp_path / "scratch"))
        return (
            CliRunner()
            .invoke(app, ["distil", told[0], str(tmp_path / output), *told[1:], *scratch, *flags])
            .exception
        )

    assert isinstance(refused("none/new.gguf"), TargetUnwritableError)
    adapter = ("--lora", "2", "--adapter", str(tmp_path / "none" / "lora.gguf"))
    assert isinstance(refused("new.gguf", *adapter), TargetUnwritableError)
    strange = write_gguf(tmp_path / "strange.gguf", TinyModel())
    assert isinstance(refused("new.gguf", "--mould", str(strange)), MouldMismatchError)
    (tmp_path / "file").write_text("in the way")
    scratch = ("--scratch", str(tmp_path / "file" / "scratch"))
    assert isinstance(refused("new.gguf", *scratch), TargetUnwritableError)


def test_a_student_that_says_nothing_any_more_is_not_written(
    records: Path, shipped: PairPaths, tmp_path: Path
) -> None:
    flags = ("--steps", "1", "--learning-rate", "1e30")
    distil(records, tmp_path, shipped.draft, *flags, expect=WeightsDivergedError)


def test_without_a_manifest_there_is_no_file(
    records: Path, shipped: PairPaths, tmp_path: Path
) -> None:
    (tmp_path / "new.trained.json.partial").symlink_to("/dev/full")
    distil(records, tmp_path, shipped.draft, "--steps", "1", expect=TargetUnwritableError)
