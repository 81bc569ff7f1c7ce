"""The command `worker`: learns for as long as it is let, a line for every update."""

import json
import signal
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from outrider_training.cadence import Rhythm
from outrider_training.examples import Positions, Weighting
from outrider_training.gate import Terms
from outrider_training.losses import Loss, Measure
from outrider_training.online import Attempt, Online, OnlineRun
from outrider_training.regimen import Measures, Regimen
from outrider_training.replay_buffer import BufferRules, Eviction

_DEFAULT = OnlineRun(records="", draft=Path(), output=Path())


def worker_command(  # noqa: PLR0913 - each is a flag
    records: Annotated[str, typer.Argument(help="A folder or URL of shards, to be followed.")],
    output: Annotated[Path, typer.Argument(help="Folder for better drafts and current.json.")],
    draft: Annotated[Path, typer.Option(help="The GGUF file to begin with, and the mould.")],
    every: Annotated[
        int, typer.Option(min=0, help="Update after so many answers; 0: not by count.")
    ] = 32,
    fall: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Update when live acceptance falls by so much."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of an update.")] = _DEFAULT.steps,
    batch: Annotated[int, typer.Option(min=1, help="Answers in a step.")] = 16,
    buffer: Annotated[int, typer.Option(min=1, help="Answers that are kept to learn from.")] = 2000,
    evict: Annotated[
        Eviction, typer.Option(help="Who leaves a full buffer.")
    ] = Eviction.LEAST_INFORMATIVE,
    passes: Annotated[
        int | None, typer.Option(min=1, help="Updates an answer takes part in.  [any number]")
    ] = None,
    held_back: Annotated[
        int, typer.Option(min=1, help="Newest answers of each domain, to judge by.")
    ] = _DEFAULT.held_back,
    margin: Annotated[float, typer.Option(min=0, max=1, help="As in gate.")] = 0.02,
    loss: Annotated[Loss, typer.Option(help="As in distil.")] = Loss.FORWARD_KL,
    positions: Annotated[Positions, typer.Option(help="As in distil.")] = Positions.ALL,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-3,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    poll_s: Annotated[float, typer.Option(min=0.01, help="Between looks for shards.")] = 5.0,
    idle_exit_s: Annotated[
        float | None, typer.Option(min=0, help="End after so long without answers.  [never]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")] = False,
) -> None:
    """Learn from records as they come, and put better drafts forward.

    Only a file that the gate passes becomes current. SIGTERM and Ctrl-C end it after the update
    in hand.
    """
    run = OnlineRun(
        records=records,
        draft=draft,
        output=output,
        tenant=tenant,
        rhythm=Rhythm(every=every or None, fall=fall),
        rules=BufferRules(size=buffer, eviction=evict, passes=passes),
        regimen=Regimen(
            measures=Measures(general=Measure(loss=loss)), learning_rate=learning_rate, seed=seed
        ),
        weighting=Weighting(positions=positions),
        terms=Terms(margin=margin, fewest=_DEFAULT.terms.fewest),
        steps=steps,
        examples_per_step=batch,
        held_back=held_back,
        seed=seed,
    )
    online = Online(run)
    _follow(online, _until_told(), poll_s, idle_exit_s, as_json=as_json)
    for line in online.follower.damaged:
        typer.echo(f"left out: {line}", err=True)
    if online.follower.other_tokenizer:
        count = online.follower.other_tokenizer
        typer.echo(f"left out: {count:,} records of another tokenizer", err=True)
    if not as_json:
        typer.echo(f"{online.answers:,} answers, {online.attempts} updates, now {online.current}")


def _until_told() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _follow(
    online: Online,
    stop: threading.Event,
    poll_s: float,
    idle_exit_s: float | None,
    *,
    as_json: bool,
) -> None:
    heard_s = time.monotonic()
    while not stop.is_set():
        if online.turn(lambda attempt: _tell(attempt, as_json=as_json), stop.is_set):
            heard_s = time.monotonic()
        elif idle_exit_s is not None and time.monotonic() - heard_s >= idle_exit_s:
            return
        else:
            stop.wait(poll_s)


def _tell(attempt: Attempt, *, as_json: bool) -> None:
    verdict = attempt.verdict
    if as_json:
        values = asdict(attempt) | {"file": None if attempt.file is None else str(attempt.file)}
        values["verdict"]["passed"] = verdict.passed
        typer.echo(json.dumps(values))
        return
    overall = verdict.overall
    word = f"passed: {attempt.file}" if attempt.file else f"refused: {verdict.objections[0]}"
    typer.echo(
        f"update {attempt.number} ({attempt.reason}): acceptance {overall.old.acceptance:.3f} → "
        f"{overall.new.acceptance:.3f} on {overall.answers} answers; {word}"
    )
