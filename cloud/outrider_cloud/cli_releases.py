"""The commands of the release channel: `releases` serves it alone, `fleet` asks how it stands."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from outrider_cloud import log
from outrider_cloud.address import Address
from outrider_cloud.config import ReleasesConfig
from outrider_cloud.exits import ending
from outrider_cloud.flags import (
    AsJson,
    ConfigFile,
    DrainGrace,
    FleetFile,
    Listen,
    MetricsAt,
    TlsCert,
    TlsKey,
    TokenFile,
    read,
)
from outrider_cloud.fleet_client import ask
from outrider_cloud.fleet_report import fleet_json, fleet_text
from outrider_cloud.launch import launch_releases


def releases_command(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    releases: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="A TUF repository.")
    ] = None,
    listen: Listen = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
    fleet: FleetFile = None,
    metrics: MetricsAt = None,
    drain_grace_s: DrainGrace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Serve releases of drafts to devices, without a target, until SIGTERM or Ctrl-C.

    Settings and exit codes are those of `serve`.
    """
    log.configure()

    def announce(address: Address) -> None:
        said = json.dumps({"address": str(address)})
        print(said if as_json else f"serving releases on {address}", flush=True)

    with ending():
        launch_releases(read(ReleasesConfig, context, config), announce)


def fleet_command(
    cloud: Annotated[str, typer.Option(metavar="HOST:PORT")] = "127.0.0.1:50051",
    ca: Annotated[
        Path | None, typer.Option(help="CA of the cloud, PEM; needed beyond loopback.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File that holds your token: shows your devices.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which releases are on which devices, how they do, and which are halted.

    Exit code 2: something you gave is wrong; 1: the cloud did not answer, or this
    cannot be written.
    """
    with ending():
        found = ask(cloud, ca, token_file)
        if as_json:
            print(json.dumps(fleet_json(found)), flush=True)
        else:
            Console().print(fleet_text(found), highlight=False)
