"""What can go wrong in the cloud, by who must act. It knows no status codes of any transport.

CloudError
├── ConfigError        the operator: a setting cannot be
├── TargetError        the operator: the target model cannot be loaded or served
├── PeerError          the device: it said what it must not
│   └── SlowReaderError    it does not read what it is told
├── AbsentError        the device: what it asks for is not here
├── BeyondEndError     the device: it asks for what comes after a file's end
├── UnauthenticatedError   the caller: it showed no known token
├── HaltedError        the operator: a release does worse, and must be followed by another
├── ClientError        the operator: a command got no answer from a running cloud
├── BusyError          nobody: resources are short, the same request may succeed later
├── DrainingError      nobody: the cloud is going down, another may serve
└── EngineError        nobody: a forward failed, or was asked for what the engine cannot hold

Texts of PeerError to DrainingError are public, but for ClientError's: they name fields, counts and
limits, never tokens, session ids, or anything of other sessions.
"""

from enum import Enum


class PeerCode(Enum):
    """The catalogue of what a device can do wrong in a stream."""

    OUT_OF_ORDER = "out-of-order"  # does not follow from what was said before
    OUT_OF_RANGE = "out-of-range"  # a value the target cannot have
    TOO_LARGE = "too-large"  # more than this cloud can hold
    LOG_DIFFERS = "log-differs"  # the log it sent is not the one it declared
    SLOW_READER = "slow-reader"


class CloudError(Exception):
    """Root of the tree."""


class ConfigError(CloudError):
    """Whoever runs the cloud must give something else."""


class TargetError(CloudError):
    """Whoever runs the cloud must act: the target model cannot be loaded or served."""


class PeerError(CloudError):
    """The device must act. `text` may be shown to it."""

    def __init__(self, code: PeerCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class SlowReaderError(PeerError):
    """The device does not read what it is told; its session stays for a new stream."""

    def __init__(self) -> None:
        super().__init__(PeerCode.SLOW_READER, "too many words are waiting to be read")


class AbsentError(CloudError):
    """What the device asks for is not here."""


class BeyondEndError(CloudError):
    """The device asks for what comes after a file's end."""


class HaltedError(CloudError):
    """A release does worse on its devices; nobody gets it any more."""

    def __init__(self, line: str, release: int, reason: str) -> None:
        super().__init__(f"release {release} of {line} is halted: {reason}")


class ClientError(CloudError):
    """A running cloud could not be asked, or gave no answer."""


class BusyError(CloudError):
    """Resources are short; come back after the pause."""

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__("the cloud is full")
        self.retry_after_ms = retry_after_ms


class EngineError(CloudError):
    """A forward failed, or the engine was asked for what it cannot hold."""


class DrainingError(CloudError):
    """This cloud is going down; go elsewhere, or come back after the pause."""

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__("the cloud is going down")
        self.retry_after_ms = retry_after_ms


class UnauthenticatedError(CloudError):
    """The caller must show a token that is known here."""

    def __init__(self) -> None:
        super().__init__("this cloud asks for a known token: authorization: Bearer TOKEN")
