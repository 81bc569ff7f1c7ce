"""`outrider-train worker` on real records: updates when due, better files forward, others not."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import Store
from outrider_edge.cloud_process import CloudProcess
from outrider_protos.errors import SettingsError
from outrider_training.cadence import Rhythm
from outrider_training.cli import app
from outrider_training.demo_models import PairPaths
from outrider_training.errors import (
    CheckpointMismatchError,
    CloudNeededError,
    ModelUnreadableError,
    TargetNeededError,
    TargetUnwritableError,
)
from outrider_training.gate import Terms
from outrider_training.online import Attempt, Online, OnlineRun
from outrider_training.replay_buffer import BufferRules
from outrider_training.tasks import Split, generate

QUICK = (
    "--steps",
    "12",
    "--learning-rate",
    "3e-3",
    "--poll-s",
    "0.05",
    "--margin",
    "0.2",
    "--held-back",
    "8",
)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Vietnamese, in the order they were asked."""
    folder = tmp_path_factory.mktemp("records")
    prompts = folder / "prompts.jsonl"
    tasks = generate("vietnamese", 5, 90, Split.TRAINING)
    lines = (json.dumps({"prompt": task.prompt, "domain": task.domain}) for task in tasks)
    prompts.write_text("\n".join(lines), encoding="utf-8")
    told = ("--target", "demo", "--prompts", str(prompts), "--output", str(folder / "shards"))
    assert CliRunner().invoke(app, ["generate", *told]).exit_code == 0
    store = Store(str(folder / "shards"))
    return [record for path in store.paths() for record in store.read(path)]


def worked(
    records: Path, output: Path, draft: Path, *flags: str
) -> tuple[list[dict[str, Any]], str]:
    arguments = ["worker", str(records), str(output), "--draft", str(draft), *QUICK, "--json"]
    result = CliRunner().invoke(app, [*arguments, "--idle-exit-s", "0", *flags])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_updates_come_by_count_and_better_files_go_forward(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    Store(str(tmp_path / "shards")).write("anna", records)
    output = tmp_path / "drafts"
    attempts, _ = worked(tmp_path / "shards", output, shipped.draft, "--every", "30")
    assert [attempt["answers"] for attempt in attempts] == [30, 60, 90]
    figures = [attempt["verdict"]["overall"] for attempt in attempts]
    assert attempts[0]["verdict"]["passed"]
    assert figures[-1]["new"]["acceptance"] > figures[0]["old"]["acceptance"] + 0.2
    current = json.loads((output / "current.json").read_text())
    file = output / current["file"]
    assert sha256(file.read_bytes()).hexdigest() == current["sha256"]
    assert file.name == f"{current['sha256'][:16]}.gguf"
    passed = [attempt["file"] for attempt in attempts if attempt["file"] is not None]
    assert str(file) == passed[-1]
    assert not list(output.glob("*.partial")) + list(output.glob("candidate*"))


def test_what_learns_the_wrong_thing_is_never_put_forward(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    """A learning rate that ruins the student: refused each time, and begun anew in between."""
    Store(str(tmp_path / "shards")).write("anna", records)
    output = tmp_path / "drafts"
    flags = ("--every", "20", "--learning-rate", "50", "--steps", "6")
    attempts, _ = worked(tmp_path / "shards", output, shipped.draft, *flags)
    assert len(attempts) == 4
    assert not any(attempt["verdict"]["passed"] for attempt in attempts)
    assert all(attempt["verdict"]["objections"] for attempt in attempts)
    assert {path.name for path in output.iterdir()} == {"worker.json", "worker.checkpoint"}


def test_damaged_shards_and_other_tokenizers_are_left_out(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "shards"))
    store.write("anna", records[:40])
    (tmp_path / "shards" / "tenant=anna" / "00-broken.parquet").write_bytes(b"PAR1")
    attempts, said = worked(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    assert [attempt["answers"] for attempt in attempts] == [32]
    assert "left out: 00-broken.parquet is damaged" in said


def test_it_follows_what_comes_and_ends_when_told(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "shards"))
    arguments = [str(tmp_path / "shards"), str(tmp_path / "drafts"), "--draft", str(shipped.draft)]
    command = [sys.executable, "-m", "outrider_training", "worker", *arguments, *QUICK]
    with subprocess.Popen(
        [*command, "--json", "--every", "20"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            store.write("anna", records[:30])
            first = json.loads(process.stdout.readline())
            store.write("anna", records[30:60])
            second = json.loads(process.stdout.readline())
            assert (first["answers"], second["answers"]) == (20, 40)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            assert process.returncode == 0
        finally:
            process.kill()


def test_updates_come_when_the_cloud_has_time_to_spare(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    """From answers the student writes itself; a cloud that nobody can ask is never idle."""
    Store(str(tmp_path / "shards")).write("anna", records[:40])
    flags = ("--every", "0", "--idle", "0.5", "--steps", "2")
    own = ("--source", "mixed", "--target", "demo")
    with CloudProcess("demo") as cloud:
        told = ("--cloud", cloud.address, *flags, *own)
        attempts, _ = worked(tmp_path / "shards", tmp_path / "one", shipped.draft, *told)
    assert [attempt["reason"] for attempt in attempts] == ["the cloud is busy 0% of the time"]
    nowhere = ("--cloud", "127.0.0.1:1", *flags)
    attempts, said = worked(tmp_path / "shards", tmp_path / "two", shipped.draft, *nowhere)
    assert attempts == []
    assert "trying again" in said


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (("--idle", "0.5"), CloudNeededError),
        (("--idle", "0.5", "--cloud", "here"), SettingsError),
        (("--source", "student"), TargetNeededError),
    ],
)
def test_what_is_missing_is_said(
    flags: tuple[str, ...], error: type[Exception], shipped: PairPaths, tmp_path: Path
) -> None:
    places = [str(tmp_path / "shards"), str(tmp_path / "drafts"), "--draft", str(shipped.draft)]
    result = CliRunner().invoke(app, ["worker", *places, *flags])
    assert isinstance(result.exception, error)


def online(records: Path, output: Path, draft: Path, **rules: Any) -> Online:
    rhythm = Rhythm(every=30)
    return Online(
        OnlineRun(
            records=str(records),
            draft=draft,
            output=output,
            rhythm=rhythm,
            rules=BufferRules(**rules),
            terms=Terms(fewest=4, margin=0.2),
            steps=4,
            held_back=8,
        )
    )


def turned(run: Online) -> list[Attempt]:
    attempts: list[Attempt] = []
    run.turn(attempts.append, lambda: False)
    return attempts


def test_a_run_that_ended_goes_on_where_it_was(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    """The same student, counts and examples as one that never stopped."""
    store = Store(str(tmp_path / "shards"))
    whole = online(tmp_path / "shards", tmp_path / "whole", shipped.draft)
    cut = online(tmp_path / "shards", tmp_path / "cut", shipped.draft)
    store.write("anna", records[:40])
    assert turned(whole)[0].number == turned(cut)[0].number == 1
    del cut
    store.write("anna", records[40:])
    again = online(tmp_path / "shards", tmp_path / "cut", shipped.draft)
    assert again.attempts == 1
    assert again.current.read_bytes() == whole.current.read_bytes()
    straight, resumed = turned(whole), turned(again)
    for attempts in (straight, resumed):
        assert [(attempt.number, attempt.answers) for attempt in attempts] == [(2, 60), (3, 90)]
    assert again.buffer.domains == whole.buffer.domains


def test_a_killed_run_goes_on(records: list[Record], shipped: PairPaths, tmp_path: Path) -> None:
    """Wherever it was: nothing is left half, and what it learnt until then counts."""
    Store(str(tmp_path / "shards")).write("anna", records)
    places = [str(tmp_path / "shards"), str(tmp_path / "drafts"), "--draft", str(shipped.draft)]
    command = [sys.executable, "-m", "outrider_training", "worker", *places, *QUICK, "--json"]
    with subprocess.Popen([*command, "--every", "15"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.kill()
    assert first["number"] == 1
    rest, said = worked(tmp_path / "shards", tmp_path / "drafts", shipped.draft, "--every", "15")
    assert rest[0]["number"] in (2, 3)
    assert rest[0]["verdict"]["overall"]["old"]["acceptance"] > 0.2
    assert said == ""


def test_another_draft_or_regimen_does_not_go_on_from_there(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    Store(str(tmp_path / "shards")).write("anna", records[:40])
    worked(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    arguments = [str(tmp_path / "shards"), str(tmp_path / "drafts"), "--draft", str(shipped.draft)]
    other = CliRunner().invoke(app, ["worker", *arguments, "--learning-rate", "0.1"])
    assert isinstance(other.exception, CheckpointMismatchError)
    (tmp_path / "drafts" / "worker.json").write_text("{}")
    broken = CliRunner().invoke(app, ["worker", *arguments])
    assert isinstance(broken.exception, ModelUnreadableError)


def test_what_a_tenant_deleted_is_not_learnt_from_any_more(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "shards"))
    store.write("anna", [replace(record, tenant="anna") for record in records[:14]])
    store.write("ben", [replace(record, tenant="ben") for record in records[14:28]])
    run = online(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    assert turned(run) == []
    assert run.buffer.domains == {"vietnamese": 20}
    store.delete("ben")
    turned(run)
    assert {example.tenant for example in run.buffer.draw(30)} == {"anna"}
    store.delete("anna")
    turned(run)
    assert run.buffer.domains == {}


def test_learnt_once_means_not_again_after_a_restart(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    Store(str(tmp_path / "shards")).write("anna", records[:30])
    assert turned(online(tmp_path / "shards", tmp_path / "drafts", shipped.draft, passes=1))
    again = online(tmp_path / "shards", tmp_path / "drafts", shipped.draft, passes=1)
    assert again.buffer.domains == {}


def test_a_full_disk_ends_it_cleanly(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    """And with room again it goes on."""
    Store(str(tmp_path / "shards")).write("anna", records[:40])
    output = tmp_path / "drafts"
    output.mkdir()
    (output / "candidate.gguf.partial").symlink_to("/dev/full")
    arguments = [str(tmp_path / "shards"), str(output), "--draft", str(shipped.draft), *QUICK]
    full = CliRunner().invoke(app, ["worker", *arguments])
    assert isinstance(full.exception, TargetUnwritableError)
    assert "No space left" in str(full.exception)
    assert {path.name for path in output.iterdir()} == {"worker.json", "worker.checkpoint"}
    Store(str(tmp_path / "shards")).write("anna", records[40:80])
    attempts, _ = worked(tmp_path / "shards", output, shipped.draft)
    assert attempts[0]["number"] == 2
