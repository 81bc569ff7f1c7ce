"""The flags that commands share, and how settings are read from flags, environment and a file."""

import os
from pathlib import Path
from typing import Annotated, Final, TypeAlias, TypeVar

import typer

from outrider_cloud.config import ChannelConfig
from outrider_protos import settings

ENVIRONMENT_PREFIX: Final = "OUTRIDER_CLOUD_"

_Config = TypeVar("_Config", bound=ChannelConfig)

Listen: TypeAlias = Annotated[
    str | None,
    typer.Option(help="HOST:PORT; port 0 takes a free one.  [default: 127.0.0.1:50051]"),
]
TlsCert: TypeAlias = Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")]
TlsKey: TypeAlias = Annotated[Path | None, typer.Option(help="Its private key, PEM.")]
TokenFile: TypeAlias = Annotated[
    Path | None, typer.Option(help="Lines of a NAME and a TOKEN: who may call, and as whom.")
]
FleetFile: TypeAlias = Annotated[
    Path | None, typer.Option(help="File that keeps what devices report of releases.")
]
MetricsAt: TypeAlias = Annotated[
    str | None, typer.Option("--metrics", help="HOST:PORT on loopback for Prometheus.")
]
DrainGrace: TypeAlias = Annotated[
    float | None, typer.Option(help="Seconds that answers being written have to end.")
]
ConfigFile: TypeAlias = Annotated[Path | None, typer.Option(help="Settings from a TOML file.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Say it as JSON.")]


def read(kind: type[_Config], context: typer.Context, file: Path | None) -> _Config:
    """The settings of a command. Raises SettingsError."""
    flags = {key: value for key, value in context.params.items() if key in kind.model_fields}
    return settings.load(
        kind, file=file, environ=os.environ, prefix=ENVIRONMENT_PREFIX, flags=flags
    )
