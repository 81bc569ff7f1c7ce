"""What a worker looks after, in turn: records that come, the cloud, and the releases.

It decides nothing: what to learn, when and for whom is for others to say.
"""

import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from outrider_cloud.records.shards import StoreError
from outrider_edge.errors import EdgeError
from outrider_training.cloud_watch import CloudWatch
from outrider_training.errors import TrainingError
from outrider_training.examination import Report
from outrider_training.online import Attempt, Online
from outrider_training.releases.publication import Published
from outrider_training.releasing import Releasing


class Told(Protocol):
    """Hears what happens."""

    def attempt(self, attempt: Attempt) -> None:
        """An update, and what the gate said."""

    def trouble(self, text: str | None) -> None:
        """What is tried again; None: it is over."""

    def damaged(self, lines: list[str]) -> None:
        """What was left out; it takes them away."""

    def held(self, number: int | None) -> None:
        """A release that the cloud had halted, if any."""

    def published(self, published: Published | None) -> None:
        """A new release, if any."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Everything that is looked after in turn."""

    online: Online
    watch: CloudWatch | None
    releasing: Releasing | None
    line: str
    told: Told

    def follow(self, stop: threading.Event, poll_s: float, idle_exit_s: float | None) -> None:
        """Until told to stop, or until nothing has come for so long."""
        heard_s = time.monotonic()
        while not stop.is_set():
            try:
                count, trouble = self._turn(stop), None
            except StoreError as error:  # a network file system may be back in a while
                count, trouble = 0, str(error)
            unreleased = self._release()  # also while records are away: signatures expire
            self.told.trouble(trouble or unreleased or self._problem)
            if count:
                heard_s = time.monotonic()
            elif idle_exit_s is not None and time.monotonic() - heard_s >= idle_exit_s:
                return
            else:
                stop.wait(poll_s)

    @property
    def _problem(self) -> str | None:
        return None if self.watch is None else self.watch.problem

    def _turn(self, stop: threading.Event) -> int:
        busy = self.watch.busy if self.watch is not None else lambda: None
        count = self.online.turn(self.told.attempt, stop.is_set, busy)
        self.told.damaged(self.online.follower.damaged)
        return count

    def _release(self) -> str | None:
        """What is wrong there may be right in a while, or with the next draft: learning goes on."""
        if self.releasing is None:
            return None
        try:
            halted = self._halted()
            self.told.held(self.releasing.mind(halted))
            if halted is None:  # what is on its way would be everybody's though it may be halted
                return f"{self._problem}: nothing is released until it says what is halted"
            report_against = partial(self._report_against, halted)
            self.told.published(self.releasing.offer(self.online.current, report_against))
        except (TrainingError, EdgeError) as error:
            return str(error)
        return None

    def _halted(self) -> frozenset[int] | None:
        return frozenset() if self.watch is None else self.watch.halted(self.line)

    def _report_against(self, halted: frozenset[int], old: Path) -> Report | None:
        """Judging takes its time: what was halted meanwhile is held first, at the next turn."""
        report = self.online.report_against(old)
        return report if self._halted() == halted else None
