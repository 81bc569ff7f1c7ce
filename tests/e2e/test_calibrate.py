"""`outrider calibrate` with the shipped pair: a frontier, a picture, a choice."""

import json
from pathlib import Path

from typer.testing import CliRunner

from outrider_edge.calibrate import FALLBACKS, ROLLBACKS
from outrider_edge.cli import app
from tests.e2e.pair import TASKS


def test_it_measures_every_pair_and_picks_within_the_allowance(cloud: str, tmp_path: Path) -> None:
    tasks = TASKS.read_text(encoding="utf-8").splitlines()
    (tmp_path / "tasks.jsonl").write_text("\n".join(tasks[:2]), encoding="utf-8")
    common = ("--cloud", cloud, "--prompts", str(tmp_path / "tasks.jsonl"))
    plot = tmp_path / "frontier.png"
    chosen = ("--max-disagreement", "0.02", "--plot", str(plot), "--json")
    done = CliRunner().invoke(app, ["calibrate", *common, *chosen])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    points = said["points"]
    assert len(points) == len(FALLBACKS) * len(ROLLBACKS)
    assert all(0 <= point["accuracy"] <= 1 for point in points)
    # With no distance allowed every token is the target's choice.
    assert {point["disagreement"] for point in points if point["rollback"] == 0} == {0.0}
    within = [point for point in points if point["disagreement"] <= 0.02]
    least = min(point["calls_per_token"] for point in within)
    assert said["chosen"]["calls_per_token"] == least
    assert plot.read_bytes().startswith(b"\x89PNG")
