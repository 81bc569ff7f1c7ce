"""What can go wrong with releases, by who must act.

TrainingError
├── CallerError
│   ├── KeyUnusableError        another key file, or another folder
│   ├── KeysMissingError        the folder lacks keys that must sign
│   ├── KeyUnknownError         no such key, or not one that can go
│   ├── RepositoryMissingError  nothing is there; or something is, where nothing should be
│   ├── RepositoryFullError     it would say more than devices read
│   ├── EvidenceError           the gate's report does not speak for this file
│   └── RolloutError            the line is not in a state where that could be done
├── RepositoryUntrustedError    whoever keeps the repository: it is not what was signed
├── RepositoryExpiredError      whoever holds the offline keys
└── ResourceError
    ├── DestinationError        the place cannot be read or written
    └── RepositoryBusyError     somebody else publishes there at this moment
"""

from pathlib import Path

from outrider_training.errors import CallerError, ResourceError, TrainingError


class KeyUnusableError(CallerError):
    """A key file, or the folder of keys, cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


class KeysMissingError(CallerError):
    """Too few of the keys at hand may sign."""

    def __init__(self, role: str, found: int, needed: int) -> None:
        super().__init__(
            f"{role} needs the signatures of {needed} of its keys, {found} are in the folder"
        )


class KeyUnknownError(CallerError):
    """The key that was named is none of the repository's, or cannot be taken away."""


class RepositoryMissingError(CallerError):
    """There is no repository, or there is one already."""


class RepositoryFullError(CallerError):
    """Devices read metadata up to a length."""

    def __init__(self, role: str, most_bytes: int) -> None:
        super().__init__(
            f"{role} would be longer than the {most_bytes:,} bytes that devices read: "
            "use another repository for some lines"
        )


class EvidenceError(CallerError):
    """A gate's report that does not let this file be released."""

    def __init__(self, report: str, problem: str) -> None:
        super().__init__(f"{report} does not let this draft be released: {problem}")


class RolloutError(CallerError):
    """A step that the line's state does not allow."""


class RepositoryUntrustedError(TrainingError):
    """Something in the repository is not what was signed: nothing is built on it."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(f"the repository is not to be trusted: {what} {problem}")


class RepositoryExpiredError(TrainingError):
    """Only the offline keys can help."""

    def __init__(self, role: str) -> None:
        super().__init__(
            f"{role} has expired: no device reads on; renew it with the offline keys "
            "(outrider-train keys renew)"
        )


class DestinationError(ResourceError):
    """The place of a repository cannot be used. The text holds no secrets of a URL."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")


class RepositoryBusyError(ResourceError):
    """Another publisher changes the repository; nothing of ours counts there."""

    def __init__(self) -> None:
        super().__init__("somebody else is publishing there: look at the rollout, then try again")
