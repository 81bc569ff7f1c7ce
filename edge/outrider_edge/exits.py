"""How a command ends: exit codes by who must act, and what to do next for each error.

It knows errors and settings, not commands.
"""

from collections.abc import Mapping
from enum import IntEnum

from outrider_edge.errors import (
    BadAdapter,
    BadInput,
    BadModelFile,
    Cancelled,
    CloudRefused,
    CloudUnavailable,
    EdgeError,
    LocalOnly,
    ModelMismatch,
    NetworkError,
    PeerError,
    PromptTooLong,
    ProtocolError,
)


class ExitCode(IntEnum):
    """What the shell gets."""

    FINE = 0
    CALLER = 2  # something you gave is wrong
    CLOUD = 3  # it is not there, or refuses
    RESOURCES = 4  # this machine lacks something
    INTERRUPTED = 130  # Ctrl-C


EXIT_CODES_HELP = (
    "Exit codes: 0 fine, 2 something you gave is wrong, 3 the cloud is not there or refuses, "
    "4 this machine lacks something, 130 interrupted."
)

# The first entry that fits counts, so the narrower types come first.
_CODES: tuple[tuple[type[EdgeError], ExitCode], ...] = (
    (Cancelled, ExitCode.INTERRUPTED),
    (BadInput, ExitCode.CALLER),
    (LocalOnly, ExitCode.CALLER),
    (PeerError, ExitCode.CLOUD),
    (NetworkError, ExitCode.CLOUD),
)
_ADVICE: Mapping[type[EdgeError], str] = {
    BadAdapter: "give another file with --adapter, or none",
    BadModelFile: "give another GGUF file with --draft",
    ModelMismatch: "use --draft with a GGUF file that has the target's tokenizer, or --mode local",
    PromptTooLong: "shorten the prompt",
    CloudUnavailable: "start one with `outrider-cloud serve --target ...`, name another with "
    "--cloud (and --ca if it uses TLS), or use --mode local",
    CloudRefused: "check --token-file, --ca and --cloud",
    LocalOnly: "leave local-only out of your settings; --mode local needs no connection, "
    "nor does a folder as a channel",
    ProtocolError: "device and cloud must be of versions that fit",
}


def exit_code(error: EdgeError) -> ExitCode:
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.RESOURCES


def advice(error: EdgeError) -> str | None:
    """What to do next, where the error does not say it itself."""
    return _ADVICE.get(type(error))
