"""The command `demo-release`: it shows what the demo of releases found out."""

import json
import sys
from typing import Annotated

import typer

from outrider_training.release_demo import ReleaseDemo, ReleaseScale, run_release_demo
from outrider_training.release_scene import Ending


def release_demo_command(
    requests: Annotated[int, typer.Option(min=80, help="Questions while a draft learns.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Watch a draft being learnt, released, tried and kept, and a sabotaged one taken back."""
    found = run_release_demo(
        ReleaseScale(requests=requests),
        lambda text: None if as_json else print(text, file=sys.stderr, flush=True),
    )
    if as_json:
        typer.echo(json.dumps(release_demo_json(found)))
        return
    typer.echo(f"learnt:    {_told(found.good)}")
    typer.echo(f"sabotaged: {_told(found.sabotaged)}")
    same = "the same under every draft" if found.answers_identical else "NOT the same"
    typer.echo(f"answers were {same}")
    typer.echo(
        f"the delta has {found.delta_ratio:.0%} of the full file; the updater sent "
        f"{found.bytes_sent:,} bytes and received {found.bytes_received:,}; {found.seconds:.0f} s"
    )


def release_demo_json(found: ReleaseDemo) -> dict[str, object]:
    """The figures for programs."""
    return {
        "good": _ending_json(found.good),
        "sabotaged": _ending_json(found.sabotaged),
        "answers_identical": found.answers_identical,
        "delta_ratio": found.delta_ratio,
        "bytes_sent": found.bytes_sent,
        "bytes_received": found.bytes_received,
        "seconds": found.seconds,
    }


def _ending_json(ending: Ending) -> dict[str, object]:
    return {
        "state": ending.state.value,
        "release": ending.release,
        "trial_answers": ending.answers,
    }


def _told(ending: Ending) -> str:
    return f"release {ending.release} was {ending.state.value} after {ending.answers} answers"
