"""With consent a real server records an answer as the device saw it; without, it keeps nothing."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from outrider_cloud.records.record import Fate, Record
from outrider_cloud.records.shards import Store
from outrider_edge.answer import Result
from outrider_edge.options import Mode, Options
from tests.e2e.pair import CloudProcess, Judge, device_for, prompts

MAX_TOKENS = 60
CONSENT = Options(max_tokens=MAX_TOKENS, seed=5, consent=True, domain="stories")


def answers(records: Path, options: Options) -> list[Result]:
    """The shipped pair's, of a cloud of its own that has ended since."""
    with (
        CloudProcess("demo", "--records", str(records)) as cloud,
        device_for(cloud.address) as device,
    ):
        found = []
        for prompt in prompts("english", "python", count=2):
            with device.session(options) as session:
                found.append(session.ask(prompt).result())
        return found


def recorded(folder: Path) -> list[Record]:
    store = Store(str(folder))
    found = [record for path in store.paths() for record in store.read(path)]
    return sorted(found, key=lambda record: record.time_s)


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.CLOUD])
def test_every_token_of_a_consenting_device_is_recorded(
    tmp_path: Path, judge: Judge, mode: Mode
) -> None:
    results = answers(tmp_path, replace(CONSENT, mode=mode))
    records = recorded(tmp_path)
    assert [(r.prompt, r.tokens) for r in records] == [(r.prompt, r.tokens) for r in results]
    for record in records:
        assert record.exact
        assert (record.tenant, record.domain) == ("local", "stories")
        assert record.versions.template is not None
        assert (record.versions.draft is None) == (mode is Mode.CLOUD)
        assert (Fate.ACCEPTED in record.fates) == (mode is Mode.EXACT)
        rows = judge.reference.rows(record.prompt + record.tokens)[len(record.prompt) - 1 : -1]
        best = rows.max(axis=1) - np.log(np.exp(rows.astype(np.float64)).sum(axis=1))
        assert np.allclose(record.tops.logprobs[:, 0], best, atol=1e-3)


def test_nothing_is_recorded_without_consent(tmp_path: Path) -> None:
    assert all(result.tokens for result in answers(tmp_path, Options(max_tokens=MAX_TOKENS)))
    assert list(tmp_path.rglob("*")) == []


def test_answers_are_kept_while_the_cloud_goes_on(tmp_path: Path) -> None:
    """Asked to write often, it does: learners need not wait for its end."""
    often = ("--records", str(tmp_path), "--records-every-s", "0.2")
    with CloudProcess("demo", *often) as cloud, device_for(cloud.address) as device:
        with device.session(CONSENT) as session:
            text = session.ask(prompts("python", count=1)[0]).result()
        deadline_s = time.monotonic() + 30
        while not recorded(tmp_path) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        assert [record.tokens for record in recorded(tmp_path)] == [text.tokens]
