"""What a draft gains on prompts that people wrote, for a pair that was trained on real text.

    python -m bench.real_text --target FOLDER --draft FOLDER --data FOLDER \\
        --output docs/results/real-text.md

Two beginnings: the pair's own draft, which saw every domain, and for each domain a draft of the
same shape that never saw it, taught from nothing by the target's answers to the others. Both then
learn from the target's answers to all domains. `data` holds GSM8K (`gsm8k_train.jsonl`) and Spider
(`spider.jsonl`); Python prompts are the first lines of the standard library's docstrings.
"""

import argparse
import ast
import json
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import mean

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from bench.answers import acceptance, answers
from bench.report import Report, spread
from bench.teaching import plan_of, taught
from outrider_cloud.records.record import Record
from outrider_edge.questions import Question
from outrider_training.convert import convert
from outrider_training.course import Plan
from outrider_training.mould import cast
from outrider_training.quantize import StorageType
from outrider_training.regimen import Regimen
from outrider_training.student import load_student

BATCH = 16
ANSWER_TOKENS = 96
DOMAINS = ("python", "maths", "sql")


@dataclass(frozen=True, slots=True)
class Texts:
    """The target's answers, by domain."""

    training: Mapping[str, Sequence[Record]]
    held_out: Mapping[str, Sequence[Record]]


def prompts(domain: str, data: Path) -> list[str]:
    """All there are, each once, in an order of no meaning but always the same."""
    match domain:
        case "python":
            found = list(_docstrings(Path(sysconfig.get_path("stdlib"))))
        case "maths":
            found = [line["question"] for line in _lines(data / "gsm8k_train.jsonl")]
        case _:
            entries = _lines(data / "spider.jsonl")
            found = [f"{line['db_id']}: {line['question']}" for line in entries]
    different = sorted(set(found))
    Random(0).shuffle(different)
    return different


def texts_of(target: str, data: Path, training: int, held_out: int) -> Texts:
    """The first prompts of a domain are judged by, the next learnt from."""

    def written(part: slice) -> dict[str, Sequence[Record]]:
        return {
            domain: answers(
                target,
                [
                    Question(prompt=f"<|bos|><|user|>{text}<|end|><|assistant|>", domain=domain)
                    for text in prompts(domain, data)[part]
                ],
                max_tokens=ANSWER_TOKENS,
                raw=True,
            )
            for domain in DOMAINS
        }

    return Texts(written(slice(held_out, held_out + training)), written(slice(held_out)))


def judged(
    student: PreTrainedModel, mould: Path, held_out: Mapping[str, Sequence[Record]]
) -> list[float]:
    """Acceptance of the student's file in every domain."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "student.gguf"
        cast(student, mould, file)
        return [acceptance(file, held_out[domain]) for domain in DOMAINS]


def untaught(folder: Path, seed: int) -> PreTrainedModel:
    """The draft's shape with weights that know nothing."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).float().eval()


def _docstrings(library: Path) -> Iterator[str]:
    """First lines, of functions in modules that parse."""
    for path in sorted(library.glob("*.py")) + sorted(library.glob("[a-z]*/*.py")):
        if "site-packages" in path.parts:
            continue
        try:
            module = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
                line = text.strip().partition("\n")[0]
                if len(line) > 15:
                    yield line


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description="What is gained on real text.")
    parser.add_argument("--target", required=True, help="transformers folder")
    parser.add_argument("--draft", type=Path, required=True, help="transformers folder")
    parser.add_argument("--data", type=Path, required=True, help="folder")
    parser.add_argument("--questions", type=int, default=600, help="to learn from, in each domain")
    parser.add_argument("--held-out", type=int, default=60, help="to judge by, in each domain")
    parser.add_argument("--first-steps", type=int, default=900, help="from nothing")
    parser.add_argument("--steps", type=int, default=240, help="on all domains")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    texts = texts_of(arguments.target, arguments.data, arguments.questions, arguments.held_out)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        mould = Path(folder) / "mould.gguf"
        convert(arguments.draft, mould, StorageType.Q8_0)
        rows += before_and_after("the pair's own draft", mould, mould, texts, arguments)
        for without in DOMAINS:
            known = [r for d in DOMAINS if d != without for r in texts.training[d]]
            student, first = untaught(arguments.draft, seed=0), Path(folder) / "first.gguf"
            first_plan = plan_of(arguments.first_steps, BATCH, 0)
            taught(student, known, first_plan, _regimen(first_plan, 3e-3))
            cast(student, mould, first)
            rows += before_and_after(f"never saw {without}", first, mould, texts, arguments)
    report = Report("Real text", sys.argv)
    report.say(
        f"Acceptance of the quantised draft (q8_0) on {arguments.held_out} held-out answers a "
        f"domain, greedy, at most {ANSWER_TOKENS} tokens, before and after {arguments.steps} steps "
        f"of {BATCH} answers on {arguments.questions} answers of every domain, forward KL, "
        f"learning rate 1e-3; mean and standard deviation over {arguments.seeds} seeds, which draw "
        "the steps' answers. The drafts that never saw a domain took "
        f"{arguments.first_steps} steps on the other two, from random weights, at 3e-3."
    )
    report.table(["", *DOMAINS, "seconds"], rows)
    report.write(arguments.output)


def before_and_after(
    name: str, first: Path, mould: Path, texts: Texts, arguments: argparse.Namespace
) -> list[list[str]]:
    """Two rows: the draft in this file, and what comes of it with each seed."""
    before = judged(load_student(first), mould, texts.held_out)
    everything = [record for records in texts.training.values() for record in records]
    gains, seconds = [], []
    for seed in range(arguments.seeds):
        student, plan = load_student(first), plan_of(arguments.steps, BATCH, seed)
        seconds.append(taught(student, everything, plan, _regimen(plan, 1e-3)))
        gains.append(judged(student, mould, texts.held_out))
    after = [spread(values) for values in zip(*gains, strict=True)]
    rows = [
        [f"{name}, before", *(f"{value:.3f}" for value in before), ""],
        [f"{name}, after", *after, f"{mean(seconds):.0f}"],
    ]
    for row in rows:
        print(" | ".join(row), file=sys.stderr, flush=True)
    return rows


def _regimen(plan: Plan, rate: float) -> Regimen:
    return Regimen(learning_rate=rate, decay_steps=plan.steps, seed=plan.seed)


if __name__ == "__main__":
    main()
