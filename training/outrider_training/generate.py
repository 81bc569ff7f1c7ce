"""`outrider-train generate`: from a target and a file of prompts to shards of records."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from transformers import PreTrainedTokenizerFast

from outrider_cloud.records.record import Fate, Record, Versions
from outrider_cloud.records.writer import ShardWriter
from outrider_cloud.target import load_target, public_name
from outrider_cloud.tokenizer import load_tokenizer, tokenizer_facts
from outrider_cloud.transformers_engine.engine import TransformersEngine
from outrider_edge.questions import Question
from outrider_protos.fingerprint import fingerprint, template_digest
from outrider_protos.words import Sampling
from outrider_training.author import Author, Written
from outrider_training.errors import PromptTooLongError

OFFLINE_TENANT = "offline"  # nobody's traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """What to write, and how."""

    target: str  # folder or hub id
    questions: Sequence[Question]
    sampling: Sampling
    max_tokens: int
    raw: bool  # prompts are the text itself, without the chat template
    domain: str | None  # of prompts that name none
    tenant: str = OFFLINE_TENANT
    at_once: int = 16
    device: str = "cpu"


def generate(wish: Generate, writer: ShardWriter, told: Callable[[int], None]) -> int:
    """Write a record for every question; the tokens written. `told` hears of each text's tokens.

    Raises PromptTooLongError before anything is written, TargetError, EngineError, StoreError.
    """
    tokenizer = load_tokenizer(wish.target)
    target = load_target(wish.target, device=wish.device)
    engine = TransformersEngine(target)
    prompts = [_prompt(tokenizer, question.prompt, raw=wish.raw) for question in wish.questions]
    for number, prompt in enumerate(prompts, start=1):
        if len(prompt) >= target.context_tokens:
            raise PromptTooLongError(number, len(prompt), target.context_tokens)
    versions, total = _versions(wish, tokenizer), 0
    author = Author(engine, max_tokens=wish.max_tokens, at_once=wish.at_once)
    for written in author.write(prompts, wish.sampling):
        question = wish.questions[written.index]
        writer.add(_record(wish, versions, prompts[written.index], question, written))
        told(len(written.tokens))
        total += len(written.tokens)
    return total


def _prompt(tokenizer: PreTrainedTokenizerFast, text: str, *, raw: bool) -> tuple[int, ...]:
    if not raw and tokenizer.chat_template is not None:
        turns = [{"role": "user", "content": text}]
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    return tuple(tokenizer(text)["input_ids"])


def _versions(wish: Generate, tokenizer: PreTrainedTokenizerFast) -> Versions:
    template = None if wish.raw else tokenizer.chat_template
    return Versions(
        target=public_name(wish.target),
        tokenizer=fingerprint(tokenizer_facts(tokenizer)),
        runtime=f"transformers {version('transformers')}, torch {version('torch')}",
        template=None if template is None else template_digest(template),
    )


def _record(
    wish: Generate,
    versions: Versions,
    prompt: tuple[int, ...],
    question: Question,
    written: Written,
) -> Record:
    return Record(
        tenant=wish.tenant,
        time_s=time.time(),
        versions=versions,
        prompt=prompt,
        tokens=written.tokens,
        choices=written.tokens,
        fates=(Fate.OWN,) * len(written.tokens),
        tops=written.tops,
        sampling=written.sampling,
        domain=question.domain or wish.domain,
    )
