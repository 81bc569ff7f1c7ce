"""The command `outrider-train`: arguments in, one line per fact out.

It does not know how anything is done.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import torch
import typer

from outrider_cloud.errors import CloudError
from outrider_cloud.records.shards import ShardError, StoreError
from outrider_edge.errors import EdgeError
from outrider_protos.errors import SettingsError
from outrider_training.cli_data import data, generate_command
from outrider_training.cli_demo import demo_command
from outrider_training.cli_distil import distil_command
from outrider_training.cli_gate import gate_command
from outrider_training.cli_keys import keys
from outrider_training.cli_publish import publish_command, rollout_command
from outrider_training.cli_release_demo import release_demo_command
from outrider_training.cli_worker import worker_command
from outrider_training.convert import convert
from outrider_training.demo_models import DEMO_PLAN, PairPaths, build_pair
from outrider_training.errors import TrainingError
from outrider_training.mould import cast
from outrider_training.quantize import StorageType
from outrider_training.student import load_student

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Models for Outrider: conversion to GGUF, the demo pair, records to learn from, releases.",
)


app.command("generate")(generate_command)
app.command("distil")(distil_command)
app.command("gate")(gate_command)
app.command("worker")(worker_command)
app.command("demo")(demo_command)
app.command("demo-release")(release_demo_command)
app.command("publish")(publish_command)
app.command("rollout")(rollout_command)
app.add_typer(data, name="data")
app.add_typer(keys, name="keys")


@app.command("convert")
def convert_command(
    folder: Annotated[Path, typer.Argument(help="A transformers folder of a Llama model.")],
    target: Annotated[Path, typer.Argument(help="The GGUF file to write.")],
    kind: Annotated[
        StorageType, typer.Option("--type", help="How matrices are stored.")
    ] = StorageType.Q8_0,
) -> None:
    """Convert a transformers folder to one GGUF file, tokenizer and chat template included."""
    conversion = convert(folder, target, kind)
    for name, stored in conversion.fallbacks:
        typer.echo(f"{name}: rows do not divide into {kind.value} blocks, stored as {stored.value}")
    typer.echo(f"{target}: {conversion.size_bytes:,} bytes")


@app.command("export")
def export_command(
    source: Annotated[Path, typer.Argument(help="The trained model: a transformers folder.")],
    target: Annotated[Path, typer.Argument(help="The GGUF file to write.")],
    mould: Annotated[
        Path, typer.Option(help="The GGUF file whose types, tokenizer and template are kept.")
    ],
) -> None:
    """Put trained weights into a copy of a GGUF file, each tensor in its own type."""
    casting = cast(load_student(source), mould, target)
    typer.echo(
        f"{target}: {casting.size_bytes:,} bytes, "
        f"{casting.changed_rows:,} of {casting.rows:,} rows changed"
    )


@app.command("demo-models")
def demo_models_command(
    scratch: Annotated[
        Path, typer.Option(help="Folder for checkpoints and unfinished models.")
    ] = Path("build/demo-models"),
    ship: Annotated[
        Path | None, typer.Option(help="Folder that gets the pair instead of the packages.")
    ] = None,
) -> None:
    """Train the demo pair from nothing; what ships is replaced only if every band holds."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shipped = PairPaths.shipped() if ship is None else PairPaths.within(ship)
    build_pair(DEMO_PLAN, scratch, shipped, device, typer.echo)
    typer.echo(f"shipped {shipped.target}, {shipped.draft} and {shipped.tasks}")


def main() -> None:
    """Run the command; expected errors become one line and exit code 1."""
    try:
        app()
    except (TrainingError, CloudError, EdgeError, SettingsError, ShardError, StoreError) as error:
        _fail(str(error))
    except OSError as error:  # full standard output, say; typer keeps a closed pipe to itself
        reason = error.strerror or type(error).__name__
        _fail(reason if error.filename is None else f"{error.filename}: {reason}")


def _fail(reason: str) -> NoReturn:
    typer.echo(f"outrider-train: {reason}", err=True)
    sys.exit(1)
