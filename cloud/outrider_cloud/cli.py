"""The command `outrider-cloud`. One line on stdout says when it serves; the log goes to stderr."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from outrider_cloud import log
from outrider_cloud.cli_releases import fleet_command, releases_command
from outrider_cloud.config import ServeConfig
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
from outrider_cloud.launch import Serving, launch

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _cloud() -> None:
    """The cloud of Outrider: a large target model that judges what devices propose."""


@app.command()
def serve(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    target: Annotated[
        str | None, typer.Option(help="A transformers folder, a hub id, or `demo`.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.  [default: cpu]")] = None,
    listen: Listen = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of one operation.")] = None,
    kv_tokens: Annotated[int | None, typer.Option(help="Tokens the KV cache holds.")] = None,
    max_streams: Annotated[int | None, typer.Option(help="Devices at once.")] = None,
    max_sessions: Annotated[int | None, typer.Option(help="Token logs remembered.")] = None,
    records: Annotated[
        str | None, typer.Option(help="Folder or URL for answers whose devices consent.")
    ] = None,
    records_every_s: Annotated[
        float | None, typer.Option(help="Seconds that answers wait at most before they are kept.")
    ] = None,
    releases: Annotated[
        Path | None, typer.Option(help="Folder of a TUF repository: releases for devices.")
    ] = None,
    fleet: FleetFile = None,
    metrics: MetricsAt = None,
    drain_grace_s: DrainGrace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Serve a target until SIGTERM or Ctrl-C.

    Each setting may also stand in the file given by --config, or in the environment as
    OUTRIDER_CLOUD_ and its name; flags count most. Listening beyond loopback needs --tls-cert,
    --tls-key and --token-file. Exit code 2: something you gave is wrong; 1: it failed otherwise.
    """
    log.configure()

    def announce(serving: Serving) -> None:
        target_id, address = serving.target_id, str(serving.address)
        said = {"target": target_id, "address": address}
        print(json.dumps(said) if as_json else f"serving {target_id} on {address}", flush=True)

    with ending():
        launch(read(ServeConfig, context, config), announce)


@app.command()
def alone(
    target: Annotated[str, typer.Option(help="As for `serve`.")],
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="CPU threads of one operation.")] = None,
) -> None:
    """Read JSON lines, write JSON lines: what the target writes without any device.

    {"log": [ids], "max_length": n, "stop_ids": [ids], "sampling": {...}} is answered by
    {"tokens": [ids]}. With "answer": [ids] beside it, by the answer's differences from that, each
    with the gap that made it and whether it is a near-tie.
    """
    from outrider_cloud.alone import load, replies  # torch takes seconds to import

    with ending():
        for reply in replies(load(target, device, threads), sys.stdin):
            print(reply, flush=True)


app.command("releases")(releases_command)
app.command("fleet")(fleet_command)


def main() -> None:
    app()
