"""The command `outrider`: arguments in, an answer or a report out, an exit code at the end.

It only joins what others do; every expected error ends here, as one line that says what to do.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from outrider_edge.account import Totals, totals
from outrider_edge.answer import Answer
from outrider_edge.chat import Chat
from outrider_edge.cli_drafts import drafts
from outrider_edge.cli_pull import pull
from outrider_edge.config import read_config
from outrider_edge.device import Device
from outrider_edge.ending import end_when_told, ending, fail, print_json
from outrider_edge.errors import BadInput, BadSettings, EdgeError
from outrider_edge.exits import EXIT_CODES_HELP
from outrider_edge.flags import ConfigFlag, JsonFlag, with_settings
from outrider_edge.options import Mode
from outrider_edge.questions import decoded
from outrider_edge.report import answer_json, error_json, summary
from outrider_edge.telling import tell

MAX_PROMPT_BYTES = 1 << 24

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog=EXIT_CODES_HELP,
)

QuietFlag = Annotated[bool, typer.Option("--quiet", help="No summary.")]


app.add_typer(drafts, name="drafts")
app.command(epilog=EXIT_CODES_HELP)(pull)


@app.callback()
def _outrider() -> None:
    """A small model here writes, a large one in the cloud has the last word.

    Every setting may also stand in the configuration file, or in the environment as OUTRIDER_ and
    its name in capitals; flags count most.
    """


@app.command(epilog=EXIT_CODES_HELP)
@with_settings
def complete(
    flags: Mapping[str, object],
    prompt: Annotated[
        str | None, typer.Argument(help="The prompt; - or none reads standard input.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Go on from the text itself, without chat template.")
    ] = False,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    config: ConfigFlag = None,
) -> None:
    """Answer one prompt.

    Settled text goes to standard output as it comes, what it cost to standard error. Of standard
    input one newline at the end is left out, unless --raw.
    """
    with ending(as_json):
        chosen = read_config(flags, config, os.environ)
        options, settings = chosen.options(), chosen.device_settings()
        text = _prompt(prompt, raw=raw)
        with Device(settings) as device:
            session = device.session(options)
            answer = session.complete(text) if raw else session.ask(text)
            _tell_once(answer, chosen.chosen_mode, as_json=as_json, quiet=quiet)


@app.command(epilog=EXIT_CODES_HELP)
@with_settings
def chat(
    flags: Mapping[str, object],
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    config: ConfigFlag = None,
) -> None:
    """Converse; through a pipe, one line is one turn.

    /mode exact|big-little|local|cloud changes the mode; /exit or Ctrl-D leaves. With --json there
    is one object a turn.
    """
    with ending(as_json):
        chosen = read_config(flags, config, os.environ)
        options = chosen.options()
        with Device(chosen.device_settings()) as device:
            Chat(device, options, as_json=as_json, quiet=quiet).run()


@app.command(epilog=EXIT_CODES_HELP)
def demo(
    mode: Annotated[Mode | None, typer.Option(help="Only this mode.", show_default=False)] = None,
    tasks: Annotated[int, typer.Option(help="Tasks of each domain.")] = 12,
    as_json: JsonFlag = False,
) -> None:
    """Run the shipped pair on tasks with known answers, in every mode, and measure it.

    Starts a cloud of its own on loopback; your settings play no part.
    """
    from outrider_edge.demo import Pair, run_demo  # what other commands never need
    from outrider_edge.demo_report import demo_json, print_demo

    with ending(as_json):
        modes = list(Mode) if mode is None else [mode]
        report = run_demo(Pair(), modes, tasks, _progress(as_json=as_json))
        if as_json:
            print_json(demo_json(report))
        else:
            print_demo(report, Console())


@app.command(epilog=EXIT_CODES_HELP)
@with_settings
def calibrate(
    flags: Mapping[str, object],
    prompts: Annotated[
        Path,
        typer.Option(help='JSON lines with "prompt" and perhaps "answer", or plain lines.'),
    ],
    max_disagreement: Annotated[
        float | None,
        typer.Option(help="Pick the cheapest thresholds below this share.", min=0, max=1),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the frontier to a PNG file.")] = None,
    as_json: JsonFlag = False,
    config: ConfigFlag = None,
) -> None:
    """Measure Big-Little's thresholds on your own prompts.

    For each pair of thresholds: the share of tokens that differ from the target's choice, right
    answers where they are known, cloud calls, bytes, speed.
    """
    from outrider_edge.calibrate import sweep
    from outrider_edge.calibrate_report import (
        calibration_json,
        choice_text,
        print_calibration,
    )
    from outrider_edge.frontier import cheapest
    from outrider_edge.plot import check_place, plot_frontier  # matplotlib takes a second
    from outrider_edge.questions import read_questions

    with ending(as_json):
        chosen = read_config(_big_little(flags), config, os.environ)
        options, questions = chosen.options(), read_questions(prompts)
        if plot is not None:
            check_place(plot)
        with Device(chosen.device_settings()) as device:
            points = sweep(device, options, questions, _progress(as_json=as_json))
        picked = None if max_disagreement is None else cheapest(points, max_disagreement)
        if plot is not None:
            plot_frontier(points, picked, plot)
        if as_json:
            print_json(calibration_json(points, picked))
            return
        print_calibration(points, Console())
        if max_disagreement is not None:
            print(choice_text(points, picked, max_disagreement))


@app.command(epilog=EXIT_CODES_HELP)
def ledger(
    file: Annotated[
        Path | None, typer.Option("--ledger", help="Which file.", show_default=False)
    ] = None,
    as_json: JsonFlag = False,
    config: ConfigFlag = None,
) -> None:
    """Say what left this machine, by mode."""
    with ending(as_json):
        chosen = read_config({"ledger": file}, config, os.environ)
        found = totals(chosen.ledger)
        if as_json:
            print_json(asdict(found))
        else:
            _print_totals(found)


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="outrider: %(message)s")
    end_when_told()
    app()


# ---- what commands share


def _big_little(flags: Mapping[str, object]) -> Mapping[str, object]:
    if flags.get("mode") not in (None, Mode.BIG_LITTLE):
        raise BadSettings("calibrate measures big-little mode: leave --mode out")
    return {**flags, "mode": Mode.BIG_LITTLE}


def _prompt(argument: str | None, *, raw: bool) -> str:
    if argument is not None and argument != "-":
        return argument
    data = sys.stdin.buffer.read(MAX_PROMPT_BYTES + 1)
    if len(data) > MAX_PROMPT_BYTES:
        raise BadInput(f"the prompt is longer than {MAX_PROMPT_BYTES} bytes")
    text = decoded(data, "standard input")
    return text if raw else text.removesuffix("\n")


def _tell_once(answer: Answer, mode: Mode, *, as_json: bool, quiet: bool) -> None:
    """Show the answer and what it cost, also when it broke off."""
    error: EdgeError | None = None
    try:
        tell(answer, None if as_json else sys.stdout)
    except EdgeError as raised:
        error = raised
    result = answer.partial
    assert result is not None
    if as_json:
        failure = {} if error is None else {"error": error_json(error)}
        print_json(answer_json(result, mode) | failure)
    elif not quiet:
        print(summary(result), file=sys.stderr)
    if error is not None:
        fail(error, as_json=False)


def _progress(*, as_json: bool) -> Callable[[str], None]:
    """Says how far it is on standard error, for people who watch."""

    def say(text: str) -> None:
        if not as_json:
            print(text, file=sys.stderr, flush=True)

    return say


def _print_totals(found: Totals) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("mode")
    for heading in ("answers", "tokens", "by target", "bytes up", "down"):
        table.add_column(heading, justify="right", overflow="fold")
    for total in found.modes:
        tokens = total.tokens_by_draft + total.tokens_by_target + total.tokens_unverified
        cells = (total.answers, tokens, total.tokens_by_target)
        bytes_ = (total.bytes_sent, total.bytes_received)
        table.add_row(total.mode, *(f"{count:,}" for count in (*cells, *bytes_)))
    if (updates := found.updates).looks:
        bytes_ = (updates.bytes_sent, updates.bytes_received)
        table.add_row("updates", "", "", "", *(f"{count:,}" for count in bytes_))
    Console().print(table, highlight=False)
