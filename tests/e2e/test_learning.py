"""The learning loop end to end, small: device, recording cloud, worker, drafts swapped in."""

from pathlib import Path

import pytest

from outrider_training.cli_demo import draw, learning_json
from outrider_training.errors import TargetUnwritableError
from outrider_training.learning_demo import STREAM, Scale, run_learning
from outrider_training.tasks import DOMAINS

SMALL = Scale(requests=100, pace_s=0.1, warm_up=24, held_out=5)


@pytest.mark.long
def test_a_draft_learns_while_it_is_used(tmp_path: Path) -> None:
    said: list[str] = []
    learning = run_learning(SMALL, said.append)
    assert learning.updates >= 1
    assert [each.domain for each in learning.stream] == [*STREAM] * 50
    assert "waiting for the last update" in said
    vietnamese = learning.after["vietnamese"].acceptance
    assert vietnamese > learning.before["vietnamese"].acceptance + 0.03
    values = learning_json(learning)
    assert set(values) == {"domains", "updates", "seconds", "gate"}
    domains = values["domains"]
    assert isinstance(domains, dict)
    assert set(domains) == set(DOMAINS)
    for figures in domains.values():
        assert set(figures) == {"before", "after"}
        assert set(figures["after"]) == {"acceptance", "tokens_per_s"}
    draw(learning, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(TargetUnwritableError):
        draw(learning, tmp_path / "none" / "chart.png")
