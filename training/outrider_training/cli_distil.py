"""The command `distil`: flags in, a bar while it learns, agreement by domain at the end."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from outrider_cloud.shipped import resolve
from outrider_training.course import Plan
from outrider_training.distil import Update
from outrider_training.errors import LoraNeededError, TargetNeededError
from outrider_training.examples import Positions, Weighting
from outrider_training.lesson import Learnt, Lesson, Source, learn
from outrider_training.losses import Loss, Measure
from outrider_training.regimen import Measures, Regimen
from outrider_training.sampling import Mixture
from outrider_training.search import Search, Trial, best


def distil_command(  # noqa: PLR0913 - each is a flag
    records: Annotated[str, typer.Argument(help="A folder or URL of shards.")],
    output: Annotated[Path, typer.Argument(help="The GGUF file to write.")],
    draft: Annotated[Path, typer.Option(help="A GGUF file or a transformers folder.")],
    mould: Annotated[
        Path | None, typer.Option(help="GGUF file that gives the form.  [the draft]")
    ] = None,
    loss: Annotated[Loss, typer.Option(help="What becomes small.")] = Loss.FORWARD_KL,
    search: Annotated[
        bool, typer.Option("--search", help="Try several losses first; each domain gets its best.")
    ] = False,
    search_steps: Annotated[int, typer.Option(min=1, help="Of a trial of --search.")] = 40,
    beta: Annotated[float, typer.Option(min=0.01, max=0.99, help="Of jsd.")] = 0.5,
    tau: Annotated[float, typer.Option(min=0.05, help="Temperature of both sides.")] = 1.0,
    positions: Annotated[Positions, typer.Option(help="Which count.")] = Positions.ALL,
    rejected_weight: Annotated[
        float, typer.Option(min=0, help="Of positions whose proposal did not stand.")
    ] = 1.0,
    source: Annotated[Source, typer.Option(help="Whose answers.")] = Source.TEACHER,
    target: Annotated[
        str | None, typer.Option(help="Folder, hub id or demo; for other sources than teacher.")
    ] = None,
    mixture: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="The target's share with --source mixed.")
    ] = 0.5,
    steps: Annotated[int, typer.Option(min=1)] = 300,
    batch: Annotated[int, typer.Option(min=1, help="Answers in a step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-3,
    lora: Annotated[int | None, typer.Option(min=1, help="Rank of a LoRA.  [full]")] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="With --lora: write the LoRA alone as GGUF there as well.")
    ] = None,
    bfloat16: Annotated[
        bool, typer.Option("--bfloat16", help="Products in bfloat16, weights in float32.")
    ] = False,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="Newest share of each domain, to judge by.")
    ] = 0.1,
    most_tokens: Annotated[
        int, typer.Option(min=1, help="Newest ones that are read; 0.6 KB each in memory.")
    ] = 2_000_000,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    scratch: Annotated[
        Path, typer.Option(help="Checkpoint and log; a run that was cut off goes on from there.")
    ] = Path("build/distil"),
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Teach a draft what the target thought, and write it as a GGUF file."""
    if source is not Source.TEACHER and target is None:
        raise TargetNeededError(source.value)
    if adapter is not None and lora is None:
        raise LoraNeededError
    measure = Measure(loss=loss, beta=beta, temperature=tau)
    lesson = Lesson(
        records=records,
        draft=draft,
        output=output,
        scratch=scratch,
        mould=mould,
        tenant=tenant,
        held_share=held_out,
        most_tokens=most_tokens,
        source=source,
        target=None if target is None else resolve(target),
        mixture=Mixture(beta=mixture if source is Source.MIXED else 0.0),
        weighting=Weighting(positions=positions, rejected=rejected_weight),
        regimen=Regimen(
            measures=Measures(general=measure),
            learning_rate=learning_rate,
            decay_steps=steps,
            bfloat16=bfloat16,
            seed=seed,
        ),
        plan=Plan(steps=steps, examples_per_step=batch, seed=seed),
        lora_rank=lora,
        adapter=adapter,
        search=Search(steps=search_steps) if search else None,
    )
    with _progress() as progress:
        task = progress.add_task("learning", total=steps, figures="")

        def told(update: Update) -> None:
            figures = f"loss {update.loss:.4f}  agreement {update.agreement:.3f}"
            progress.update(task, completed=update.step, figures=figures)

        def tried(trial: Trial) -> None:
            figures = f"tried {trial.loss.value} on {trial.domain or '-'}: {trial.agreement:.3f}"
            progress.update(task, figures=figures)

        learnt = learn(lesson, told, tried)
    _tell(learnt, output, as_json=as_json)


def _tell(learnt: Learnt, output: Path, *, as_json: bool) -> None:
    corpus = learnt.corpus
    if learnt.casting is None:
        return
    for line in corpus.damaged:
        typer.echo(f"left out: {line}", err=True)
    if corpus.other_tokenizer:
        typer.echo(f"left out: {corpus.other_tokenizer:,} records of another tokenizer", err=True)
    if as_json:
        figures = {
            "before": learnt.before,
            "after": learnt.after,
            "records": len(corpus.records),
            "other_tokenizer": corpus.other_tokenizer,
            "damaged": corpus.damaged,
            "output": str(output),
            "trials": [asdict(trial) | {"loss": trial.loss.value} for trial in learnt.trials],
            "losses": {domain: loss.value for domain, loss in best(learnt.trials).items()},
        }
        typer.echo(json.dumps(figures))
        return
    table = Table("domain", box=None, pad_edge=False, header_style="bold")
    for heading in ("before", "after"):
        table.add_column(heading, justify="right", overflow="fold")
    for domain, before in learnt.before.items():
        table.add_row(domain or "-", f"{before:.3f}", f"{learnt.after[domain]:.3f}")
    for domain, loss in best(learnt.trials).items():
        tried = ", ".join(
            f"{trial.loss.value} {trial.agreement:.3f}"
            for trial in learnt.trials
            if trial.domain == domain
        )
        typer.echo(f"{domain or '-'}: {loss.value} ({tried})")
    typer.echo("agreement with the target on held-out answers")
    Console().print(table, highlight=False)
    typer.echo(f"{output}: {learnt.casting.size_bytes:,} bytes")


def _progress() -> Progress:
    """On standard error, and only for people who watch."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    return Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    )
