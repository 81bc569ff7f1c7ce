"""`outrider-train worker` on real records: updates when due, better files forward, others not."""

import json
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import Store
from outrider_training.cli import app
from outrider_training.demo_models import PairPaths
from outrider_training.tasks import Split, generate

QUICK = ("--steps", "25", "--poll-s", "0.05", "--margin", "0.2", "--held-back", "8")


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
    flags = ("--every", "20", "--learning-rate", "5")
    attempts, _ = worked(tmp_path / "shards", output, shipped.draft, *flags)
    assert len(attempts) == 4
    assert not any(attempt["verdict"]["passed"] for attempt in attempts)
    assert all(attempt["verdict"]["objections"] for attempt in attempts)
    assert list(output.iterdir()) == []


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
