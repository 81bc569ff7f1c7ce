"""Prompts for measurements: a JSON-lines file of `{"prompt": text}`, special tokens spelt out.

Makes such a file from one domain of the demo's held-out tasks, or from other people's data, one
field of each line put into a template:

    python -m bench.prompts tasks --domain english --target FOLDER --limit 20 > english.jsonl
    python -m bench.prompts data --file questions.jsonl --field question \\
        --template '<|bos|><|user|>{}<|end|><|assistant|>' --limit 20 > maths.jsonl
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from outrider_training.tasks import DOMAINS, generate

_SEED = 1


def read_prompts(path: Path, limit: int) -> list[str]:
    """The first `limit` prompts. Raises ValueError for a line without one, or too few lines."""
    prompts = list(islice(_field(path, "prompt"), limit))
    if len(prompts) < limit:
        raise ValueError(f"{path} has {len(prompts)} prompts, {limit} are wanted")
    return prompts


def _field(path: Path, name: str) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if name not in entry:
                raise ValueError(f"{path} has a line without the field {name!r}")
            yield entry[name]


def _of_tasks(arguments: argparse.Namespace) -> Iterator[str]:
    from transformers import AutoTokenizer  # seconds to import, and torch with it

    tokenizer = AutoTokenizer.from_pretrained(arguments.target, local_files_only=True)
    for task in generate(arguments.domain, _SEED, arguments.limit):
        turns = [{"role": "user", "content": task.prompt}]
        yield tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def _of_data(arguments: argparse.Namespace) -> Iterator[str]:
    for text in islice(_field(arguments.file, arguments.field), arguments.limit):
        yield arguments.template.replace("{}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description="A prompts file.")
    sources = parser.add_subparsers(required=True)
    tasks = sources.add_parser("tasks")
    tasks.add_argument("--domain", choices=DOMAINS, required=True)
    tasks.add_argument("--target", type=Path, required=True, help="whose chat template is used")
    tasks.set_defaults(texts=_of_tasks)
    data = sources.add_parser("data")
    data.add_argument("--file", type=Path, required=True)
    data.add_argument("--field", required=True)
    data.add_argument("--template", required=True, help="`{}` is where the field's text goes")
    data.set_defaults(texts=_of_data)
    for source in (tasks, data):
        source.add_argument("--limit", type=int, required=True)
    arguments = parser.parse_args()
    for text in arguments.texts(arguments):
        sys.stdout.write(json.dumps({"prompt": text}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
