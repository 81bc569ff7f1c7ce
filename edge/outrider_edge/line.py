"""The line to the cloud, seen from a generation: words out, words in, and it may break.

`client` lays real lines over gRPC; simulators in the tests lay hostile ones. This module knows no
transport.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from outrider_protos.words import CloudWord, DeviceWord


class Line(Protocol):
    """One stream of one session. Calls never block."""

    def send(self, words: Sequence[DeviceWord]) -> None: ...

    def receive(self) -> list[CloudWord]:
        """What has arrived since the last call.

        Raises CloudUnavailable when the line is lost (all words before are delivered first), and
        CloudRefused when the cloud ended it with an error that trying again will not cure.
        """

    def close(self) -> None: ...


class Dialer(Protocol):
    def dial(self, wake: Callable[[], None]) -> Line:
        """Lay a line at once; failure shows in `receive`. `wake` is called when words arrive."""
