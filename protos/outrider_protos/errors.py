"""What can go wrong in what both sides share, by who must act. It knows no status codes.

The text of every error here may be shown to the peer or to a person: it names fields and limits,
never tokens, ids, paths of the other side or values that could be secret.
"""

from typing import Final

# Trailing metadata of a failed call that may be tried again.
RETRY_AFTER_KEY: Final = "retry-after-ms"


class ProtocolError(Exception):
    """Root of the tree."""


class MalformedMessage(ProtocolError):
    """The peer must act: a message breaks a limit or contradicts itself."""


class UnsupportedVersion(MalformedMessage):
    """The peer speaks another version of the protocol."""


class UnsupportedSetting(MalformedMessage):
    """The peer asks for something that is not built."""


class BadLogits(ProtocolError):
    """The model must be looked at: a row of logits holds NaN or +inf, or allows no token."""


class SettingsError(ProtocolError):
    """The person who configures must act. `problems` holds one readable line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
