"""The command `outrider-train`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from outrider_training import cli
from tests.training.conftest import MakeFolder


def test_convert_reports_size_and_fallbacks(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder, target = make_folder(intermediate_size=480), tmp_path / "out.gguf"
    result = CliRunner().invoke(cli.app, ["convert", str(folder), str(target), "--type", "q4_k"])
    assert result.exit_code == 0
    assert "blk.1.ffn_down.weight: rows do not divide into q4_k blocks, stored as q8_0" in (
        result.stdout
    )
    assert f"{target}: {target.stat().st_size:,} bytes" in result.stdout


def test_export_says_how_much_changed(make_folder: MakeFolder, tmp_path: Path) -> None:
    """The same weights, rounded the same way: the file is the mould again."""
    folder, mould, target = make_folder(), tmp_path / "mould.gguf", tmp_path / "new.gguf"
    runner = CliRunner()
    assert runner.invoke(cli.app, ["convert", str(folder), str(mould)]).exit_code == 0
    result = runner.invoke(cli.app, ["export", str(folder), str(target), "--mould", str(mould)])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{target}: {mould.stat().st_size:,} bytes, ")
    assert target.read_bytes() == mould.read_bytes()


def test_unknown_type_lists_the_known_ones(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["convert", "a", "b", "--type", "q3"])
    assert result.exit_code == 2
    assert "q4_k" in result.output


def test_errors_are_one_line_and_exit_code_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["outrider-train", "convert", str(tmp_path / "nowhere"), str(tmp_path / "o.gguf")]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ending:
        cli.main()
    assert ending.value.code == 1
    error = capsys.readouterr().err
    assert error == (
        f"outrider-train: no transformers folder with a config.json at {tmp_path / 'nowhere'}\n"
    )
