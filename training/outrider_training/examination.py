"""`outrider-train gate`: from two GGUF files and a store of records to a report.

It chooses the answers: exact-mode ones alone, whose text depends on no draft, the newest of each
domain, and none whose prompt the new draft was trained on. The verdict is `gate`'s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from outrider_cloud.records.record import Record
from outrider_cloud.records.shards import Store
from outrider_training.corpus import Corpus, read_corpus
from outrider_training.errors import NothingToJudgeError, TokenizersDifferError
from outrider_training.gate import Pair, StepTimes, Terms, Verdict, judge
from outrider_training.lesson import draft_fingerprint
from outrider_training.manifest import manifest_of, sha256_of
from outrider_training.prompts import knows
from outrider_training.replay import Candidate, Replayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What to compare, and by what."""

    new: Path
    old: Path
    base: Path | None = None  # what adapters lie over; None: the old file
    records: str
    tenant: str | None = None
    held_share: float = 0.1
    most_tokens: int = 2_000_000
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was judged, how, and what came of it: everything a signature should cover."""

    new_sha256: str
    old_sha256: str
    base_sha256: str | None  # of the file that an adapter lies over
    terms: Terms
    steps: StepTimes
    verdict: Verdict
    not_exact: int  # answers left out: their text depends on a draft
    trained_on: int  # answers left out: the new draft knows their prompts
    oldest_s: float  # Unix, of the answers judged by
    newest_s: float


def examine(wish: Examination, told: Callable[[int, int], None]) -> Report:
    """Replay by both; `told` hears of answers done and of all. Raises TrainingError, EdgeError."""
    new, old = Candidate.of(wish.new, wish.base or wish.old), Candidate.of(wish.old, wish.base)
    tokenizer = draft_fingerprint(new.draft)
    if draft_fingerprint(old.draft) != tokenizer:
        raise TokenizersDifferError(wish.new, wish.old)
    corpus = read_corpus(
        Store(wish.records),
        tokenizer,
        most_tokens=wish.most_tokens,
        tenant=wish.tenant,
    )
    exact = Corpus([record for record in corpus.records if record.exact])
    newest = exact.split(wish.held_share).held_out
    known = manifest_of(wish.new) | manifest_of(new.draft)
    answers = [record for record in newest if not knows(known, record.prompt)]
    if not answers:
        raise NothingToJudgeError(len(corpus.records), len(newest))
    report = judged(new, old, answers, wish.terms, told)
    left_out = len(corpus.records) - len(exact.records)
    return replace(report, not_exact=left_out, trained_on=len(newest) - len(answers))


def judged(
    new: Candidate,
    old: Candidate,
    answers: Sequence[Record],
    terms: Terms,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """By these answers, at least one; none is left out. Raises TrainingError, EdgeError."""
    pairs, steps = replay_both(new, old, answers, told)
    return Report(
        new_sha256=sha256_of(new.adapter or new.draft),
        old_sha256=sha256_of(old.adapter or old.draft),
        base_sha256=None if new.adapter is None else sha256_of(new.draft),
        terms=terms,
        steps=steps,
        verdict=judge(pairs, steps, terms),
        not_exact=0,
        trained_on=0,
        oldest_s=min(record.time_s for record in answers),
        newest_s=max(record.time_s for record in answers),
    )


def replay_both(
    new: Candidate,
    old: Candidate,
    answers: Sequence[Record],
    told: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[Pair], StepTimes]:
    """The drafts take turns, so that a busy moment of the machine slows both."""
    pairs: list[Pair] = []
    new_s: list[float] = []
    old_s: list[float] = []
    with Replayer(new.draft, new.adapter) as one, Replayer(old.draft, old.adapter) as two:
        for count, record in enumerate(answers, start=1):
            text = (record.prompt, record.tokens, record.sampling)
            fresh, known = one.replay(*text), two.replay(*text)
            pairs.append(Pair(record.domain or "", fresh.agreed, known.agreed))
            new_s.append(fresh.step_s)
            old_s.append(known.step_s)
            told(count, len(answers))
    return pairs, StepTimes(median(new_s or [0.0]), median(old_s or [0.0]))
