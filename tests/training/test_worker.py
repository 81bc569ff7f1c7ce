"""`outrider-train worker` on real records: updates when due, better files forward, others not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import Store, StoreError
from outrider_cloud.shipped import resolve
from outrider_edge.cloud_process import CloudProcess
from outrider_protos.errors import SettingsError
from outrider_training.cadence import Rhythm
from outrider_training.cli import app
from outrider_training.demo_models import PairPaths
from outrider_training.errors import (
    CheckpointMismatchError,
    CheckpointUnreadableError,
    CloudNeededError,
    FolderBusyError,
    ModelUnreadableError,
    NeverUpdatesError,
    TargetNeededError,
    TargetUnwritableError,
)
from outrider_training.gate import Terms
from outrider_training.manifest import manifest_of
from outrider_training.mould import cast
from outrider_training.online import Attempt, Online, OnlineRun
from outrider_training.outbox import Outbox
from outrider_training.prompts import prompt_digest
from outrider_training.regimen import Regimen
from outrider_training.replay_buffer import BufferRules
from outrider_training.sampling import Mixture
from outrider_training.student import load_student
from outrider_training.tasks import Split, generate

STATE = {"worker.json", "worker.checkpoint", "worker.lock"}
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
    assert {path.name for path in output.iterdir()} == STATE


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
        (("--every", "0"), NeverUpdatesError),
    ],
)
def test_what_is_missing_is_said(
    flags: tuple[str, ...], error: type[Exception], shipped: PairPaths, tmp_path: Path
) -> None:
    places = [str(tmp_path / "shards"), str(tmp_path / "drafts"), "--draft", str(shipped.draft)]
    result = CliRunner().invoke(app, ["worker", *places, *flags])
    assert isinstance(result.exception, error)


def online(records: Path, output: Path, draft: Path, steps: int = 4, **rules: Any) -> Online:
    rhythm = Rhythm(every=30)
    return Online(
        OnlineRun(
            records=str(records),
            draft=draft,
            output=output,
            rhythm=rhythm,
            regimen=Regimen(learning_rate=3e-3),
            rules=BufferRules(**rules),
            terms=Terms(fewest=4, margin=0.2),
            steps=steps,
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
    cut.close()
    store.write("anna", records[40:])
    again = online(tmp_path / "shards", tmp_path / "cut", shipped.draft)
    assert again.attempts == 1
    assert again.current.read_bytes() == whole.current.read_bytes()
    straight, resumed = turned(whole), turned(again)
    for attempts in (straight, resumed):
        assert [(attempt.number, attempt.answers) for attempt in attempts] == [(2, 60), (3, 90)]
    assert again.buffer.domains == whole.buffer.domains


@pytest.mark.long
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
    assert {path.name for path in output.iterdir()} == STATE
    Store(str(tmp_path / "shards")).write("anna", records[40:80])
    attempts, _ = worked(tmp_path / "shards", output, shipped.draft)
    assert attempts[0]["number"] == 2


@pytest.mark.long
def test_every_file_says_what_it_learnt_from(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    """So nobody judges it by that: not the gate, not a run that begins from it or goes on."""
    Store(str(tmp_path / "shards")).write("anna", records)
    attempts, _ = worked(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    draft = Path(next(a["file"] for a in reversed(attempts) if a["file"] is not None))
    learnt = manifest_of(draft)
    assert len(learnt) > 40
    told = ["gate", str(draft), str(shipped.draft), "--records", str(tmp_path / "shards")]
    said = json.loads(CliRunner().invoke(app, [*told, "--held-out", "1", "--json"]).stdout)
    assert said["trained_on"] == len(learnt & {prompt_digest(r.prompt) for r in records})
    next_run = online(tmp_path / "shards", tmp_path / "next", draft)
    turned(next_run)
    assert not learnt & {prompt_digest(r.prompt) for r in next_run._held_back.answers()}
    (tmp_path / "drafts" / "worker.json").unlink()
    again = online(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    turned(again)
    assert not learnt & {prompt_digest(r.prompt) for r in again._held_back.answers()}


def test_one_worker_has_a_folder(shipped: PairPaths, tmp_path: Path) -> None:
    first = online(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    with pytest.raises(FolderBusyError):
        online(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    first.close()
    online(tmp_path / "shards", tmp_path / "drafts", shipped.draft).close()


def test_a_store_that_is_away_for_a_while_was_not_deleted(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    Store(str(tmp_path / "shards")).write("anna", records[:28])
    run = online(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    turned(run)
    (tmp_path / "shards").rename(tmp_path / "away")
    with pytest.raises(StoreError, match="not there any more"):
        turned(run)
    (tmp_path / "away").rename(tmp_path / "shards")
    turned(run)
    assert (run.answers, run.buffer.domains) == (28, {"vietnamese": 20})


def test_losing_one_shard_loses_its_records_alone(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "shards"))
    first = store.write("offline", records[:10])
    store.write("offline", records[10:28])
    run = online(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    turned(run)
    Path(first).unlink()
    turned(run)
    held, buffer = run._held_back.kept(), run.buffer.draw(30)
    assert len(held) + len(buffer) == 18
    times = {record.time_s for record in records[10:28]}
    assert {record.time_s for record in held} | {example.time_s for example in buffer} == times


def test_memory_is_the_same_after_a_restart(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    """Domains that nobody asked for lately too, each text with the updates it took part in."""
    store = Store(str(tmp_path / "shards"))
    store.write("anna", [replace(record, domain="rare") for record in records[:12]])
    store.write("anna", records[12:60])
    run = online(tmp_path / "shards", tmp_path / "drafts", shipped.draft, size=30, passes=9)
    assert turned(run)
    before = sorted((e.prompt, passes) for e, passes in run.buffer.passes())
    held = sorted(record.prompt for record in run._held_back.kept())
    run.close()
    again = online(tmp_path / "shards", tmp_path / "drafts", shipped.draft, size=30, passes=9)
    assert sorted((e.prompt, passes) for e, passes in again.buffer.passes()) == before
    assert sorted(record.prompt for record in again._held_back.kept()) == held
    assert "rare" in again.buffer.domains


def test_two_refusals_in_a_row_are_remembered(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    """So that the third update begins from the current draft, whenever it is made."""
    Store(str(tmp_path / "shards")).write("anna", records)
    flags = ("--every", "20", "--learning-rate", "50", "--steps", "6")
    worked(tmp_path / "shards", tmp_path / "drafts", shipped.draft, *flags)
    standing = json.loads((tmp_path / "drafts" / "worker.json").read_text())
    assert (standing["updates"], standing["refused"]) == (4, 0)
    kept = torch.load(tmp_path / "drafts" / "worker.checkpoint", weights_only=True)
    weights = load_student(shipped.draft).state_dict()
    assert all(torch.equal(kept["model"][name], weights[name]) for name in weights)


def test_an_update_of_an_idle_time_learns_from_the_students_own_answers(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    """Of one step, from the same examples: the gradient, and so the file, is another."""
    Store(str(tmp_path / "shards")).write("anna", records[:30])
    files = []
    for name, target in (("own", resolve("demo")), ("theirs", None)):
        run = Online(
            OnlineRun(
                records=str(tmp_path / "shards"),
                draft=shipped.draft,
                output=tmp_path / name,
                rhythm=Rhythm(every=None, idle=0.5),
                terms=Terms(fewest=1, margin=1.0),
                target=target,
                mixture=Mixture(beta=0.0, max_tokens=12),
                steps=1,
            )
        )
        told: list[Attempt] = []
        run.turn(told.append, lambda: False, lambda: 0.1)
        assert len(told) == 1
        files.append(run._distiller.student.state_dict())
    assert any(not torch.equal(files[0][name], files[1][name]) for name in files[0])


def test_a_draft_that_is_not_what_was_put_forward_is_not_gone_on_from(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    Store(str(tmp_path / "shards")).write("anna", records[:60])
    attempts, _ = worked(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    draft = Path(next(a["file"] for a in attempts if a["file"] is not None))
    draft.write_bytes(draft.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelUnreadableError, match="not the draft that was put forward"):
        online(tmp_path / "shards", tmp_path / "drafts", shipped.draft, steps=12)
    (tmp_path / "drafts" / "current.json").write_text("{")
    with pytest.raises(ModelUnreadableError, match="names no draft"):
        online(tmp_path / "shards", tmp_path / "drafts", shipped.draft, steps=12)


def test_a_broken_checkpoint_is_said(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    Store(str(tmp_path / "shards")).write("anna", records[:40])
    worked(tmp_path / "shards", tmp_path / "drafts", shipped.draft)
    checkpoint = tmp_path / "drafts" / "worker.checkpoint"
    for content in (b"", b"garbage", checkpoint.read_bytes()[:5000]):
        checkpoint.write_bytes(content)
        places = [str(tmp_path / "shards"), str(tmp_path / "drafts")]
        broken = CliRunner().invoke(app, ["worker", *places, "--draft", str(shipped.draft), *QUICK])
        assert isinstance(broken.exception, CheckpointUnreadableError)


def test_only_the_newest_drafts_stay(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    newest = tmp_path
    for number in range(7):
        outbox.candidate.write_bytes(bytes([number]))
        newest = outbox.put_forward(number, 0.5, [bytes(16)])
        os.utime(newest, (number, number))
    assert outbox.current() == newest
    assert len(list(tmp_path.glob("*.gguf"))) == len(list(tmp_path.glob("*.trained.json"))) == 4
    assert manifest_of(newest) == {bytes(16)}


def test_what_a_domain_may_lose_it_may_lose_once(
    records: list[Record], shipped: PairPaths, tmp_path: Path
) -> None:
    """A candidate better than a poor current draft, but worse than the one it began with."""
    Store(str(tmp_path / "shards")).write("anna", records[:60])
    attempts, _ = worked(tmp_path / "shards", tmp_path / "one", shipped.draft)
    good = Path(next(a["file"] for a in reversed(attempts) if a["file"] is not None))
    run = online(tmp_path / "none", tmp_path / "two", good)
    for record in records[60:]:
        run._held_back.keep(record)
    ruined = load_student(shipped.draft)
    for weights in ruined.model.layers.parameters():
        weights.data.zero_()
    cast(ruined, shipped.draft, run.outbox.candidate)
    run.current = run.outbox.put_forward(0, 0.0, ())
    shutil.copyfile(good, run.outbox.candidate)
    assert run._judged(run.outbox.candidate).passed
    shutil.copyfile(shipped.draft, run.outbox.candidate)
    verdict = run._judged(run.outbox.candidate)
    assert verdict.overall.low > 0
    assert [line for line in verdict.objections if line.startswith("since the first draft")]
