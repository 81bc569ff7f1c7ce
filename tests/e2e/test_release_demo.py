"""`outrider-train demo-release`, as `make demo-release` runs it: the whole way of two releases."""

import json

import pytest
from typer.testing import CliRunner

from outrider_training.cli import app


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_what_is_learnt_is_kept_and_what_is_sabotaged_is_not() -> None:
    result = CliRunner().invoke(app, ["demo-release", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["good"]["state"] == "committed"
    assert found["sabotaged"]["state"] == "reverted"
    assert found["answers_identical"] is True
    assert 0 < found["delta_ratio"] < 1
    assert found["seconds"] < 600
