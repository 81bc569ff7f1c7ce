"""Text that was delivered unverified, judged when the cloud is back.

The verdict only marks: what was delivered stands, and the conversation goes on from it.
"""

from dataclasses import dataclass

from outrider_edge.answer import Result
from outrider_edge.device import Device
from outrider_edge.target_choices import TargetChoices


@dataclass(frozen=True, slots=True)
class Review:
    """What the target says to a delivered, unverified end of an answer."""

    start: int  # position of its first token
    tokens: tuple[int, ...]
    choices: tuple[int, ...]  # the target's, given the delivered text before each

    @property
    def differing(self) -> tuple[int, ...]:
        """Positions at which the target would have written another token."""
        pairs = enumerate(zip(self.tokens, self.choices, strict=True), self.start)
        return tuple(position for position, (token, choice) in pairs if token != choice)


def review(device: Device, result: Result) -> Review:
    """Have the unverified end of an answer judged. Raises CloudUnavailable while there is none."""
    log = result.prompt + result.tokens
    start = len(log) - result.unverified_tokens
    with TargetChoices(device, result.sampling) as target:
        return Review(start, log[start:], target.along(log, start))
