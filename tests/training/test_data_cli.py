"""`outrider-train generate` and `data`, as a person uses them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from outrider_cloud.records.record import Fate
from outrider_cloud.records.shards import Store
from outrider_cloud.tokenizer import load_tokenizer, tokenizer_facts
from outrider_edge.errors import BadInput
from outrider_protos.fingerprint import fingerprint
from outrider_training import cli
from outrider_training.errors import PromptTooLongError
from tests.simulators.target_folder import CONTEXT_TOKENS, make_target_folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return make_target_folder(tmp_path / "tiny-target")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "the road", "domain": "roads"}\n{"prompt": "ahead"}\nthe scout\n')
    return path


@pytest.fixture
def store(target: Path, prompts: Path, tmp_path: Path) -> str:
    url = str(tmp_path / "records")
    options = ("--max-tokens", 9, "--domain", "other", "--seed", 5, "--temperature", 0.7)
    result = run("generate", "--target", target, "--prompts", prompts, "--output", url, *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("records: 3, tokens: ")
    assert result.stdout.endswith(", shards: 1\n")
    return url


def test_a_record_says_everything_about_its_answer(store: str, target: Path) -> None:
    (path,) = Store(store).paths()
    found = sorted(Store(store).read(path), key=lambda record: record.sampling.seed)
    tokenizer = load_tokenizer(str(target))
    assert [record.domain for record in found] == ["roads", "other", "other"]
    assert [record.sampling.seed for record in found] == [5, 6, 7]
    assert tokenizer.decode(found[0].prompt) == "the road"
    for record in found:
        assert record.tenant == "offline"
        assert record.versions.target == "tiny-target"
        assert record.versions.tokenizer == fingerprint(tokenizer_facts(tokenizer))
        assert record.versions.template is not None
        assert record.sampling.temperature == 0.7
        assert record.exact
        assert 1 <= len(record.tokens) <= 9
        assert record.choices == record.tokens
        assert set(record.fates) == {Fate.OWN}
        assert len(record.tops) == len(record.tokens)


def test_list_names_every_shard_and_what_is_wrong_with_it(store: str) -> None:
    broken = Path(store) / "tenant=bert" / "00000000000001-00.parquet"
    broken.parent.mkdir()
    broken.write_bytes(b"PAR1")
    listed = run("data", "list", store)
    assert listed.exit_code == 0
    assert "00000000000001-00.parquet is damaged" in listed.stdout
    shards = json.loads(run("data", "list", store, "--json").stdout)["shards"]
    assert shards[0]["problem"] == "00000000000001-00.parquet is damaged"
    assert (shards[1]["tenant"], shards[1]["records"]) == ("offline", 3)


def test_inspect_counts_by_kind(store: str) -> None:
    kinds = json.loads(run("data", "inspect", store, "--json").stdout)["kinds"]
    assert [(kind["domain"], kind["records"]) for kind in kinds] == [("other", 2), ("roads", 1)]
    assert all(kind["own"] == kind["tokens"] for kind in kinds)
    assert "roads" in run("data", "inspect", store, "--tenant", "offline").stdout
    assert "roads" not in run("data", "inspect", store, "--tenant", "anna").stdout


def test_delete_removes_a_tenants_bytes(store: str) -> None:
    nobody = run("data", "delete", store, "--tenant", "anna")
    assert (nobody.exit_code, nobody.stdout) == (0, "there was nothing of 'anna'\n")
    there = sum(path.stat().st_size for path in Path(store).rglob("*.parquet"))
    result = run("data", "delete", store, "--tenant", "offline", "--json")
    assert json.loads(result.stdout) == {"removed_bytes": there}
    assert list(Path(store).rglob("*.parquet")) == []


def test_a_prompt_beyond_the_context_is_named_before_anything_is_written(
    target: Path, tmp_path: Path
) -> None:
    path = tmp_path / "long.txt"
    path.write_text("the road\n" + "x" * CONTEXT_TOKENS + "\n")
    result = run("generate", "--target", target, "--prompts", path, "--output", tmp_path / "o")
    assert isinstance(result.exception, PromptTooLongError)
    assert str(result.exception).startswith("prompt 2 has ")
    assert not (tmp_path / "o").exists()


def test_a_missing_prompts_file_is_the_callers_error(target: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.txt"
    result = run("generate", "--target", target, "--prompts", nowhere, "--output", tmp_path / "o")
    assert isinstance(result.exception, BadInput)
