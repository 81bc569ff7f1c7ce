"""Replaying a recorded answer tells what the draft did when it was written."""

from dataclasses import replace
from pathlib import Path

import pytest

from outrider_cloud.records.record import Fate
from outrider_cloud.records.shards import Store
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.options import Options
from outrider_training.replay import Replayer
from tests.e2e.pair import CloudProcess, device_for, prompts

OF_BOTH = ("english", "python", "sql", "vietnamese", "japanese")


@pytest.mark.parametrize(
    "temperature",
    [pytest.param(0.0, id="greedy", marks=pytest.mark.long), pytest.param(0.8, id="sampled")],
)
def test_the_replayed_choice_is_the_live_one(tmp_path: Path, temperature: float) -> None:
    """Wherever the live draft had proposed something in time: it stood, or it was corrected."""
    options = Options(max_tokens=96, temperature=temperature, consent=True)
    with (
        CloudProcess("demo", "--records", str(tmp_path)) as cloud,
        device_for(cloud.address) as device,
    ):
        for number, prompt in enumerate(prompts(*OF_BOTH, count=8)):
            seeded = replace(options, seed=number)
            with device.session(seeded) as session:
                session.ask(prompt).result()
    store = Store(str(tmp_path))
    records = [record for path in store.paths() for record in store.read(path)]
    same = proposed = 0
    with Replayer(SHIPPED_DRAFT) as replayer:
        for record in records:
            agreed = replayer.replay(record.prompt, record.tokens, record.sampling).agreed
            assert len(agreed) == len(record.tokens)
            live = [(a, f) for a, f in zip(agreed, record.fates, strict=True) if f is not Fate.OWN]
            same += sum(a == (f is Fate.ACCEPTED) for a, f in live)
            proposed += len(live)
    assert len(records) == 40
    assert proposed > 500
    assert same / proposed >= 0.999
