"""`outrider-train distil`: from a store of records and a draft to a better draft.

It joins corpus, student, course and mould, and says what came of it.
"""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from outrider_cloud.records.shards import Store
from outrider_cloud.target import load_target
from outrider_cloud.tokenizer import load_tokenizer, tokenizer_facts
from outrider_edge.llama.gguf_header import read_header
from outrider_protos.fingerprint import fingerprint
from outrider_training.adapter import write_adapter
from outrider_training.corpus import Corpus, Split, read_corpus
from outrider_training.course import Course, Plan
from outrider_training.distil import Distiller, Update
from outrider_training.errors import MouldMissingError, NothingToLearnError, TargetUnwritableError
from outrider_training.examples import Example, Weighting
from outrider_training.lora import add_lora
from outrider_training.losses import Loss
from outrider_training.manifest import manifest_of, sha256_of, write_manifest
from outrider_training.mould import Casting, cast, check_mould
from outrider_training.prompts import prompt_digest
from outrider_training.regimen import Measures, Regimen
from outrider_training.sampling import Mixture, Sampler
from outrider_training.search import LossSearch, Search, Trial, best
from outrider_training.student import GGUF_SUFFIX, agreement, load_student

_Made = TypeVar("_Made")


class Source(Enum):
    """Whose answers are learnt from."""

    TEACHER = "teacher"  # the records' own
    STUDENT = "student"  # written anew in every step, by the student
    MIXED = "mixed"  # the same, token by token by student or target


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What to learn, from what, and where to put it."""

    records: str
    draft: Path
    output: Path
    scratch: Path
    mould: Path | None = None  # None: the draft, if it is a GGUF file
    tenant: str | None = None
    held_share: float = 0.1
    most_tokens: int = 2_000_000
    source: Source = Source.TEACHER
    target: str | None = None  # for sources other than the teacher
    mixture: Mixture = Mixture(beta=0.0)
    weighting: Weighting = Weighting()
    regimen: Regimen = Regimen()
    plan: Plan = Plan(steps=300, examples_per_step=16)
    lora_rank: int | None = None
    adapter: Path | None = None  # the LoRA alone goes there as well
    search: Search | None = None  # None: the regimen says which loss


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of a lesson: agreement with the target on held-out answers, by domain."""

    before: dict[str, float]
    after: dict[str, float]
    casting: Casting | None  # None: another process wrote the file
    corpus: Corpus
    trials: tuple[Trial, ...] = ()


def learn(
    lesson: Lesson,
    told: Callable[[Update], None],
    tried: Callable[[Trial], None] = lambda trial: None,
) -> Learnt:
    """`told` hears of every step, `tried` of every trial of a search.

    Raises TrainingError, TargetError, StoreError.
    """
    mould = _mould(lesson)
    _check_places(lesson)
    corpus = read_corpus(
        Store(lesson.records),
        draft_fingerprint(lesson.draft),
        most_tokens=lesson.most_tokens,
        tenant=lesson.tenant,
    )
    known = manifest_of(lesson.draft)
    split = corpus.split(lesson.held_share, known)
    student = load_student(lesson.draft)
    check_mould(student, mould)
    training, held_out = _examples(lesson, split, student.config.max_position_embeddings)
    if not training:
        raise NothingToLearnError("no position of these records counts, or none fits the context")
    accelerator = Accelerator()
    student.to(accelerator.device)
    before = agreement(student, held_out, lesson.regimen.micro_tokens)
    learnt = known | {prompt_digest(record.prompt) for record in split.training}
    origin = _origin(lesson, student)
    adapted = None if lesson.lora_rank is None else add_lora(student, lesson.lora_rank)
    trials = _searched(lesson, training, origin, tried)
    regimen = _with_losses(lesson.regimen, best(trials))
    distiller = Distiller(student, regimen, accelerator, lesson.scratch)
    sampler = _sampler(lesson, student, accelerator.device)
    course = Course(lesson.plan, distiller, training, lesson.scratch, sampler, origin)
    course.run(told)
    if adapted is not None:
        if lesson.adapter is not None and accelerator.is_main_process:
            base = lesson.draft if lesson.draft.suffix == GGUF_SUFFIX else mould
            change, below = adapted, manifest_of(base)
            _put(lesson.adapter, learnt | below, lambda place: write_adapter(change, base, place))
        student = adapted.merge_and_unload()
    after = agreement(student, held_out, lesson.regimen.micro_tokens)
    if not accelerator.is_main_process:
        return Learnt(before, after, None, corpus, trials)
    casting = _put(lesson.output, learnt, lambda place: cast(student, mould, place))
    course.forget()
    return Learnt(before, after, casting, corpus, trials)


def draft_fingerprint(draft: Path) -> bytes:
    """Of the tokenizer a draft comes with. Raises EdgeError or TargetError."""
    if draft.suffix == GGUF_SUFFIX:
        return fingerprint(read_header(draft).tokenizer())
    return fingerprint(tokenizer_facts(load_tokenizer(str(draft))))


def _mould(lesson: Lesson) -> Path:
    if lesson.mould is not None:
        return lesson.mould
    if lesson.draft.suffix != GGUF_SUFFIX:
        raise MouldMissingError
    return lesson.draft


def _examples(
    lesson: Lesson, split: Split, context_tokens: int
) -> tuple[list[Example], list[Example]]:
    def fitting(records: list[Example]) -> list[Example]:
        return [kept for each in records if (kept := each.within(context_tokens)) is not None]

    training = [Example.of(record, lesson.weighting) for record in split.training]
    held_out = [Example.of(record, Weighting()) for record in split.held_out]
    return fitting(training), fitting(held_out)


def _check_places(lesson: Lesson) -> None:
    """Said now, not after hours of learning."""
    for place in (lesson.output, lesson.adapter):
        if place is not None and not place.parent.is_dir():
            raise TargetUnwritableError(place, "there is no such folder")
    try:
        lesson.scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetUnwritableError(lesson.scratch, error.strerror or str(error)) from error


def _put(target: Path, learnt: Collection[bytes], make: Callable[[Path], _Made]) -> _Made:
    """A file in its place, what it learnt from beside it: never the one without the other."""
    fresh = target.with_name(f"{target.name}.new")
    try:
        made = make(fresh)
        write_manifest(target, sha256_of(fresh), learnt)
        os.replace(fresh, target)
    except OSError as error:
        raise TargetUnwritableError(target, error.strerror or str(error)) from error
    finally:
        fresh.unlink(missing_ok=True)
    return made


def _origin(lesson: Lesson, student: PreTrainedModel) -> str:
    """Everything beside examples and regimen that has a say in what is learnt."""
    digest = blake2b(repr((lesson.source, lesson.mixture, lesson.lora_rank)).encode())
    digest.update(repr(lesson.target if lesson.source is not Source.TEACHER else None).encode())
    for weights in student.state_dict().values():
        digest.update(weights.numpy(force=True).tobytes())
    return digest.hexdigest()


def _searched(
    lesson: Lesson, training: list[Example], origin: str, tried: Callable[[Trial], None]
) -> tuple[Trial, ...]:
    if lesson.search is None:
        return ()

    def make() -> PreTrainedModel:
        student = load_student(lesson.draft)
        if lesson.lora_rank is not None:
            add_lora(student, lesson.lora_rank)
        return student

    search = LossSearch(lesson.search, make, lesson.plan, lesson.regimen, lesson.scratch)
    return tuple(search.run(training, origin, tried))


def _with_losses(regimen: Regimen, losses: Mapping[str, Loss]) -> Regimen:
    general = regimen.measures.general
    domains = {domain: replace(general, loss=loss) for domain, loss in losses.items()}
    return replace(regimen, measures=Measures(general=general, domains=domains))


def _sampler(lesson: Lesson, student: PreTrainedModel, device: torch.device) -> Sampler | None:
    if lesson.source is Source.TEACHER or lesson.target is None:
        return None
    target = load_target(lesson.target, device=device.type)
    return Sampler(student, target.model, lesson.mixture, target.end_ids)
