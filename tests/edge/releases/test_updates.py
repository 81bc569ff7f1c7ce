"""Steps of a process that runs for long."""

import os
from pathlib import Path
from shutil import copyfile

from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.ledger import Ledger, Meter
from outrider_edge.releases.settings import Following, UpdateSettings
from outrider_edge.releases.step import State, Step
from outrider_edge.updates import Updates
from outrider_protos.release import Line
from tests.edge.releases.device import ended_starts
from tests.simulators.drafts import spoiled
from tests.simulators.signed_channel import Publication, SignedChannel


def test_the_draft_it_came_with_may_be_exchanged(tmp_path: Path) -> None:
    """As an upgrade of the package does. The trial against the old one ends all the same."""
    signed = SignedChannel(tmp_path / "channel")
    weak = spoiled(tmp_path / "weak.gguf", 0.4)
    signed.publish(Publication(number=1, file=weak), Line(stable=1))
    (tmp_path / "root.json").write_bytes(signed.root_bytes)
    factory = copyfile(SHIPPED_DRAFT, tmp_path / "factory.gguf")
    following = Following(
        channel=str(signed.folder),
        line="demo",
        root=tmp_path / "root.json",
        folder=tmp_path / "drafts",
    )
    updates = Updates(
        UpdateSettings(
            following=following, factory=factory, cloud=None, local_only=False, threads=1
        ),
        Meter(),
        Ledger(None),
    )

    def step() -> Step:
        return updates.step(lambda phase: None, lambda there, of: None)

    assert step().state is State.ON_TRIAL
    os.replace(spoiled(tmp_path / "newer.gguf", 0.001), factory)
    ended_starts(following.folder / "starts", 5)
    assert step().state is State.REVERTED
    assert step().state is State.UP_TO_DATE
