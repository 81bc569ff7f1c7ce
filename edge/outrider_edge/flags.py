"""The flags that all commands of a device share: one for each setting.

A setting is declared here once for the command line, as it is in `config` once for its value.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from outrider_edge.options import Mode
from outrider_edge.policy import Signal
from outrider_edge.releases.holds import Metered
from outrider_protos.words import Distance

ConfigFlag = Annotated[
    Path | None,
    typer.Option(help="Settings from a TOML file.  [~/.config/outrider/config.toml]"),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
LocalOnlyFlag = Annotated[
    bool | None,
    typer.Option(
        "--local-only", help="Open no connection, whatever happens.", rich_help_panel="Cloud"
    ),
]

_MODEL, _CLOUD, _SAMPLING, _DRAFTING = "Models", "Cloud", "Sampling", "Drafting"
_RELEASES = "Releases"


def _option(text: str, panel: str, metavar: str | None = None) -> Any:  # typer's own type is Any
    return typer.Option(help=text, rich_help_panel=panel, metavar=metavar, show_default=False)


def _settings(  # noqa: PLR0913 - one parameter a flag
    mode: Annotated[Mode | None, _option("Who writes and who decides.  [exact]", _MODEL)] = None,
    draft: Annotated[Path | None, _option("The draft, a GGUF file.  [demo]", _MODEL)] = None,
    adapter: Annotated[Path | None, _option("A LoRA over the draft, a GGUF file.", _MODEL)] = None,
    threads: Annotated[int | None, _option("CPU threads of the draft.  [1]", _MODEL)] = None,
    cloud: Annotated[
        str | None, _option("Where the target is.  [127.0.0.1:50051]", _CLOUD, "HOST:PORT")
    ] = None,
    ca: Annotated[
        Path | None, _option("CA of the cloud, PEM; needed beyond loopback.", _CLOUD)
    ] = None,
    token_file: Annotated[
        Path | None, _option("File that holds the cloud's token for you.", _CLOUD)
    ] = None,
    local_only: LocalOnlyFlag = None,
    consent: Annotated[
        bool | None,
        typer.Option(
            "--consent/--no-consent",
            help="Let the cloud keep answers to learn from.  [no]",
            rich_help_panel=_CLOUD,
            show_default=False,
        ),
    ] = None,
    domain: Annotated[
        str | None, _option("With consent: what the answers are about.", _CLOUD)
    ] = None,
    ledger: Annotated[
        Path | None, _option("Where is counted what left this machine.", _CLOUD)
    ] = None,
    max_tokens: Annotated[int | None, _option("Tokens at most.  [512]", _SAMPLING)] = None,
    temperature: Annotated[float | None, _option("0 is greedy.  [0]", _SAMPLING)] = None,
    top_k: Annotated[int | None, _option("Only the k likeliest tokens.", _SAMPLING)] = None,
    top_p: Annotated[float | None, _option("Only the likeliest mass p.", _SAMPLING)] = None,
    seed: Annotated[int | None, _option("Makes a sampled answer repeatable.", _SAMPLING)] = None,
    stop: Annotated[
        list[str] | None, _option("Text that ends the answer; may be repeated.", _SAMPLING)
    ] = None,
    patience: Annotated[
        str | None,
        _option("How long the cloud waits for drafts.  [infinite]", _DRAFTING, "MS|infinite"),
    ] = None,
    span: Annotated[int | None, _option("Tokens sent together.  [measured]", _DRAFTING)] = None,
    window: Annotated[int | None, _option("Tokens drafted ahead.  [measured]", _DRAFTING)] = None,
    width: Annotated[int | None, _option("Children of a node.  [1]", _DRAFTING)] = None,
    branches: Annotated[int | None, _option("Leaves drafted at once.  [1]", _DRAFTING)] = None,
    fallback: Annotated[
        float | None, _option("Big-Little: ask below this confidence.  [0.6]", _DRAFTING)
    ] = None,
    signal: Annotated[
        Signal | None, _option("What counts as confidence.  [max-probability]", _DRAFTING)
    ] = None,
    rollback: Annotated[
        float | None, _option("Big-Little: correct above this distance.  [2.0]", _DRAFTING)
    ] = None,
    distance: Annotated[Distance | None, _option("Which distance.  [surprise]", _DRAFTING)] = None,
    channel: Annotated[
        str | None, _option("Follow releases of the draft.  [none]", _RELEASES, "cloud|URL|FOLDER")
    ] = None,
    line: Annotated[str | None, _option("Which releases.  [demo]", _RELEASES)] = None,
    root: Annotated[
        Path | None, _option("Whom to trust: the channel's root metadata.", _RELEASES)
    ] = None,
    drafts: Annotated[Path | None, _option("Where releases are installed.", _RELEASES)] = None,
    recent: Annotated[
        int | None, _option("Answers kept here to try new drafts on.  [64]", _RELEASES)
    ] = None,
    report: Annotated[
        bool | None,
        typer.Option(
            "--report/--no-report",
            help="Tell the cloud how releases do here: counts, no text.  [yes]",
            rich_help_panel=_RELEASES,
            show_default=False,
        ),
    ] = None,
    update_every_s: Annotated[
        float | None, _option("Seconds between looks; 0: none by itself.  [3600]", _RELEASES)
    ] = None,
    metered: Annotated[Metered | None, _option("Is the network?  [auto]", _RELEASES)] = None,
    update_on_metered: Annotated[
        bool | None,
        typer.Option("--update-on-metered", help="Do not wait.", rich_help_panel=_RELEASES),
    ] = None,
    update_on_battery: Annotated[
        bool | None,
        typer.Option("--update-on-battery", help="Do not wait.", rich_help_panel=_RELEASES),
    ] = None,
) -> Mapping[str, object]:
    """The flags given, by setting; None where it was not given."""
    return dict(locals())


_OF_RELEASES: Final = frozenset(
    {
        "draft",
        "threads",
        "cloud",
        "ca",
        "token_file",
        "local_only",
        "ledger",
        "channel",
        "line",
        "root",
        "drafts",
        "recent",
        "report",
    }
)
_OF_LOOKS: Final = frozenset(
    {"update_every_s", "metered", "update_on_metered", "update_on_battery"}
)
_SEVERAL: Final = frozenset({"stop"})  # may be repeated; none given is an empty list


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared flags besides its own.

    The command takes `flags`, a mapping by setting in which None was not given.
    """
    return _with(inspect.signature(_settings).parameters, command)


def with_release_settings(command: Callable[..., None]) -> Callable[..., None]:
    """As `with_settings`, of those that matter to installed releases."""
    return _with(_known(_OF_RELEASES), command)


def with_follow_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The same, and those of when to look for newer ones."""
    return _with(_known(_OF_RELEASES | _OF_LOOKS), command)


def _known(names: Collection[str]) -> dict[str, inspect.Parameter]:
    known = inspect.signature(_settings).parameters
    return {name: known[name] for name in known if name in names}


def _with(
    shared: Mapping[str, inspect.Parameter], command: Callable[..., None]
) -> Callable[..., None]:
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "flags"]

    @wraps(command)
    def wrapper(**values: object) -> None:
        flags = {name: values.pop(name) for name in shared}
        command(flags={n: v or None if n in _SEVERAL else v for n, v in flags.items()}, **values)

    parameters = [*own, *shared.values()]
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    described: Any = wrapper  # typer reads both of these
    described.__signature__ = inspect.Signature(keywords)
    described.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper
