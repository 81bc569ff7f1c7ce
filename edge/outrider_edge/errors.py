"""What can go wrong on the device, by who must act.

    EdgeError
    ├── BadInput              the caller must give something else
    │   ├── BadModelFile      the GGUF file is missing, broken or of a kind that cannot be used
    │   │   └── BadAdapter    it is no adapter, or not one of this draft
    │   ├── ModelMismatch     draft and target do not share a vocabulary
    │   ├── PromptTooLong     the prompt leaves no room in a context
    │   ├── BadText           the text is not UTF-8
    │   ├── BadSettings       an option has a value it cannot have
    │   ├── Superseded        the caller opened the session a second time elsewhere
    │   └── Cancelled         the caller ended it
    ├── PeerError             the cloud must act
    │   ├── ProtocolError     it said something that cannot be true
    │   ├── CloudRefused      it will not do what was asked, and says why
    │   ├── BadRelease        a draft release that is damaged, or not what was signed
    │   └── NotOffered        a release channel has no such file, or does not give it
    ├── NetworkError          the network must come back, or be allowed
    │   ├── CloudUnavailable  no cloud answered within the deadline
    │   ├── ChannelUnavailable  no release channel answered, or far too slowly
    │   └── LocalOnly         a connection was asked for while none is allowed
    └── ResourceError         this machine lacks something
        ├── Busy              as much runs already as is allowed at once
        ├── Crashed           a fault of this program ended the answer
        ├── LibraryError      llama.cpp is missing or does not start
        ├── StoreFailed       the folder of installed drafts cannot be used
        │   └── NoRoom        a file does not fit on the disk
        ├── ClockWrong        this machine's clock cannot be right, so no signature can be dated
        ├── DraftError        a decode of the draft failed; the answer goes on without it
        │   └── ContextFull   the text no longer fits the draft's context
        └── ProbeInterrupted  drafts could not be tried, through no fault of theirs

The text of every error may be shown to anybody: it names files without their folders, options and
limits, never tokens, text or secrets.
"""


class EdgeError(Exception):
    """Root of the tree."""


class BadInput(EdgeError):
    """The caller must give something else."""


class BadModelFile(BadInput):
    """A GGUF file that is missing, broken, or of a kind that cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


class BadAdapter(BadModelFile):
    """A GGUF file that is no adapter, or one of another draft."""


class ModelMismatch(BadInput):
    """Draft and target do not share a vocabulary."""


class PromptTooLong(BadInput):
    """The prompt leaves no room in a context."""


class BadText(BadInput):
    """The text is not UTF-8."""


class BadSettings(BadInput):
    """An option has a value it cannot have."""


class Superseded(BadInput):
    """The session was opened a second time, elsewhere; the newest wins."""


class Cancelled(BadInput):
    """The caller ended it."""


class PeerError(EdgeError):
    """The cloud must act."""


class ProtocolError(PeerError):
    """The cloud said something that cannot be true."""


class CloudRefused(PeerError):
    """The cloud will not do what was asked; its public text says why.

    `for_good`: what it was told makes no sense to it, whoever says it and whenever.
    """

    def __init__(self, text: str, *, for_good: bool = False) -> None:
        super().__init__(text)
        self.for_good = for_good


class BadRelease(PeerError):
    """A draft release that is damaged, does not fit, or is not what was signed."""


class NotOffered(PeerError):
    """A release channel has no such file, or withholds it."""


class NetworkError(EdgeError):
    """The network must come back, or be allowed."""


class CloudUnavailable(NetworkError):
    """No cloud answered, or the line to it broke."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class ChannelUnavailable(NetworkError):
    """No release channel answered, the line to it broke, or it is far too slow."""


class LocalOnly(NetworkError):
    """A connection was asked for while none is allowed."""


class ResourceError(EdgeError):
    """This machine lacks something."""


class Busy(ResourceError):
    """As much runs already as is allowed at once."""


class Crashed(ResourceError):
    """A fault of this program ended the answer; others go on."""


class LibraryError(ResourceError):
    """llama.cpp is missing or does not start."""


class StoreFailed(ResourceError):
    """The folder of installed drafts cannot be read or written, or is full."""


class NoRoom(StoreFailed):
    """A file does not fit on the disk."""


class ClockWrong(ResourceError):
    """This machine's clock cannot be right."""


class DraftError(ResourceError):
    """A decode of the draft failed; the answer goes on without it."""


class ProbeInterrupted(ResourceError):
    """Drafts could not be tried, through no fault of theirs."""


class ContextFull(DraftError):
    """The text no longer fits the draft's context."""
