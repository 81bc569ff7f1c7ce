"""The command `worker`: learns for as long as it is let, a line for every update."""

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from outrider_cloud.shipped import resolve
from outrider_edge.config import DeviceConfig
from outrider_protos import settings
from outrider_training.attention import Attention
from outrider_training.cadence import Rhythm
from outrider_training.cloud_watch import CloudWatch
from outrider_training.errors import (
    CloudNeededError,
    KeysNeededError,
    NeverUpdatesError,
    TargetNeededError,
)
from outrider_training.examples import Positions, Weighting
from outrider_training.gate import Terms
from outrider_training.lesson import Source
from outrider_training.losses import Loss, Measure
from outrider_training.online import Attempt, Online, OnlineRun
from outrider_training.regimen import Measures, Regimen
from outrider_training.releases.places import open_destination
from outrider_training.releases.publication import Published
from outrider_training.releases.repository import Repository
from outrider_training.releasing import Course, Releasing
from outrider_training.replay_buffer import BufferRules, Eviction
from outrider_training.sampling import Mixture

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
    idle: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Update when --cloud computes at most this share of time."),
    ] = None,
    schedule_s: Annotated[
        float | None, typer.Option(min=1, help="Update so long after the last update.")
    ] = None,
    cloud: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Asked for --idle, and for halted releases."),
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="CA of that cloud, PEM.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token for that cloud.")
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
    half_life: Annotated[
        int | None,
        typer.Option(min=1, help="Newer answers that halve an older one's chance.  [never]"),
    ] = None,
    held_back: Annotated[
        int, typer.Option(min=1, help="Newest answers of each domain, to judge by.")
    ] = _DEFAULT.held_back,
    margin: Annotated[float, typer.Option(min=0, max=1, help="As in gate.")] = 0.02,
    loss: Annotated[Loss, typer.Option(help="As in distil.")] = Loss.FORWARD_KL,
    positions: Annotated[Positions, typer.Option(help="As in distil.")] = Positions.ALL,
    source: Annotated[
        Source, typer.Option(help="Whose answers updates of --idle learn from, as in distil.")
    ] = Source.TEACHER,
    target: Annotated[
        str | None, typer.Option(help="Folder, hub id or demo; for other sources than teacher.")
    ] = None,
    mixture: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="The target's share with --source mixed.")
    ] = 0.5,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-3,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    publish: Annotated[
        str | None, typer.Option(metavar="WHERE", help="Release better drafts there, unattended.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Folder of the online key.")] = None,
    line: Annotated[str, typer.Option(help="Which releases.")] = "demo",
    percent: Annotated[int | None, typer.Option(min=0, max=100, help="As in publish.")] = None,
    publish_every_s: Annotated[
        float, typer.Option(min=0, help="Between two releases, and before the first.")
    ] = 3600.0,
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
    if not every and fall is None and idle is None and schedule_s is None:
        raise NeverUpdatesError
    if publish is not None and keys is None:
        raise KeysNeededError
    if idle is not None and cloud is None:
        raise CloudNeededError
    if source is not Source.TEACHER and (target is None or idle is None):
        raise TargetNeededError(f"{source.value} with --idle")
    run = OnlineRun(
        records=records,
        draft=draft,
        output=output,
        tenant=tenant,
        rhythm=Rhythm(every=every or None, fall=fall, idle=idle, schedule_s=schedule_s),
        rules=BufferRules(size=buffer, eviction=evict, passes=passes, half_life=half_life),
        regimen=Regimen(
            measures=Measures(general=Measure(loss=loss)), learning_rate=learning_rate, seed=seed
        ),
        weighting=Weighting(positions=positions),
        target=None if source is Source.TEACHER or target is None else resolve(target),
        mixture=Mixture(beta=mixture if source is Source.MIXED else 0.0),
        terms=Terms(margin=margin, fewest=_DEFAULT.terms.fewest),
        steps=steps,
        examples_per_step=batch,
        held_back=held_back,
        seed=seed,
    )
    releasing = None
    if publish is not None and keys is not None:
        course = Course(
            line=line, keys=keys, factory=draft, percent=percent, every_s=publish_every_s
        )
        releasing = Releasing(course, Repository(open_destination(publish)))
        releasing.check()
    with closing(Online(run)) as online, _watch_of(cloud, ca, token_file) as watch:
        told = _Told(as_json=as_json)
        attention = Attention(online, watch, releasing, line, told)
        attention.follow(_until_told(), poll_s, idle_exit_s)
    if online.follower.other_tokenizer:
        count = online.follower.other_tokenizer
        typer.echo(f"left out: {count:,} records of another tokenizer", err=True)
    if not as_json:
        typer.echo(f"{online.answers:,} answers, {online.attempts} updates, now {online.current}")


@contextmanager
def _watch_of(
    cloud: str | None, ca: Path | None, token_file: Path | None
) -> Iterator[CloudWatch | None]:
    if cloud is None:
        yield None
        return
    known = {"cloud": cloud, "ca": ca, "token_file": token_file}
    config = settings.load(DeviceConfig, file=None, environ={}, prefix="", flags=known)
    with CloudWatch(config.address()) as watch:
        yield watch


def _until_told() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


class _Told:
    """What is printed as it happens; the same trouble is told once."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._trouble: str | None = None

    def trouble(self, text: str | None) -> None:
        if text is not None and text != self._trouble:
            typer.echo(f"{text}; trying again", err=True)
        self._trouble = text

    def damaged(self, lines: list[str]) -> None:
        """Those that were not told yet."""
        while lines:
            typer.echo(f"left out: {lines.pop(0)}", err=True)

    def held(self, number: int | None) -> None:
        """The cloud had halted it."""
        if number is not None:
            self._say({"held": number}, f"release {number} is on hold: it does worse on devices")

    def published(self, published: Published | None) -> None:
        """A new release."""
        if published is not None:
            text = f"release {published.number} is offered to {published.percent} % of the devices"
            self._say({"published": asdict(published)}, text)

    def _say(self, values: Mapping[str, object], text: str) -> None:
        typer.echo(json.dumps(values) if self._as_json else text)

    def attempt(self, attempt: Attempt) -> None:
        verdict = attempt.verdict
        if self._as_json:
            values = asdict(attempt) | {"file": None if attempt.file is None else str(attempt.file)}
            values["verdict"]["passed"] = verdict.passed
            typer.echo(json.dumps(values))
            return
        overall = verdict.overall
        word = f"passed: {attempt.file}" if attempt.file else f"refused: {verdict.objections[0]}"
        typer.echo(
            f"update {attempt.number} ({attempt.reason}): "
            f"acceptance {overall.old.acceptance:.3f} → {overall.new.acceptance:.3f} "
            f"on {overall.answers} answers; {word}"
        )
