"""A device's updater as a process of its own, to be killed: it says in which phase it is."""

import sys
from pathlib import Path

from outrider_edge.ledger import Ledger, Meter
from outrider_edge.releases.settings import Following, UpdateSettings
from outrider_edge.releases.step import Phase, State
from outrider_edge.updates import Updates


def main(channel: str, root: str, folder: str, factory: str) -> None:
    following = Following(channel=channel, line="demo", root=Path(root), folder=Path(folder))
    settings = UpdateSettings(
        following=following, factory=Path(factory), cloud=None, local_only=False, threads=1
    )
    updates = Updates(settings, Meter(), Ledger(None))

    def told(phase: Phase) -> None:
        print(phase.name, flush=True)

    again = True
    while again:
        step = updates.step(told, lambda there, of: None)
        again = step.again
        assert step.state is not State.REFUSED, step.text


if __name__ == "__main__":
    main(*sys.argv[1:])
