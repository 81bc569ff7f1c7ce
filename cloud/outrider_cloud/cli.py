"""The command `outrider-cloud`. One line on stdout says when it serves; the log goes to stderr."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from outrider_cloud import log
from outrider_cloud.config import ServeConfig
from outrider_cloud.errors import ConfigError, EngineError, TargetError
from outrider_cloud.launch import Serving, launch
from outrider_protos import settings
from outrider_protos.errors import SettingsError

ENVIRONMENT_PREFIX = "OUTRIDER_CLOUD_"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


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
    listen: Annotated[
        str | None,
        typer.Option(help="HOST:PORT; port 0 takes a free one.  [default: 127.0.0.1:50051]"),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Lines `name token`: who may call, and as whom.")
    ] = None,
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
    drain_grace_s: Annotated[
        float | None, typer.Option(help="Seconds that answers being written have to end.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings from a TOML file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Announce as JSON.")] = False,
) -> None:
    """Serve a target until SIGTERM or Ctrl-C.

    Each setting may also stand in the file given by --config, or in the environment as
    OUTRIDER_CLOUD_ and its name; flags count most. Listening beyond loopback needs --tls-cert,
    --tls-key and --token-file. Exit code 2: something you gave is wrong; 1: the engine failed.
    """
    flags = {key: value for key, value in context.params.items() if key in ServeConfig.model_fields}
    log.configure()

    def announce(serving: Serving) -> None:
        target_id, address = serving.target_id, str(serving.address)
        said = {"target": target_id, "address": address}
        print(json.dumps(said) if as_json else f"serving {target_id} on {address}", flush=True)

    try:
        chosen = settings.load(
            ServeConfig, file=config, environ=os.environ, prefix=ENVIRONMENT_PREFIX, flags=flags
        )
        launch(chosen, announce)
    except (SettingsError, ConfigError, TargetError) as error:
        _fail(error, 2)
    except EngineError as error:
        _fail(error, 1)


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

    try:
        for reply in replies(load(target, device, threads), sys.stdin):
            print(reply, flush=True)
    except (UnicodeDecodeError, TargetError) as error:
        _fail(error, 2)
    except EngineError as error:
        _fail(error, 1)


def main() -> None:
    app()


def _fail(error: Exception, code: int) -> None:
    print(f"outrider-cloud: {error}", file=sys.stderr)
    raise typer.Exit(code) from error
