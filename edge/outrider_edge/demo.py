"""`outrider demo`: the shipped pair on tasks with known answers, in every mode, measured.

Each mode answers the same tasks, one after the other, greedily; what is timed is answering alone.
The audit (acceptance) and the comparison with the target alone run afterwards.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from outrider_edge.answer import Result
from outrider_edge.audit import Audit, Auditor
from outrider_edge.client import Address
from outrider_edge.cloud_process import CloudProcess
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device, DeviceSettings
from outrider_edge.errors import BadInput
from outrider_edge.options import Mode, Options
from outrider_edge.policy import Shape
from outrider_edge.questions import Question, read_questions
from outrider_edge.target_alone import Comparison, compare
from outrider_edge.telling import WrittenText

TASKS_FILE = Path(str(files("outrider_edge"))) / "models" / "demo-tasks.jsonl"
TARGET = "demo"  # the one inside the cloud's package
DOMAINS = ("english", "python")
TASKS = 12  # of each domain
_MAX_TOKENS = 128
_BY_TARGET = (Mode.EXACT, Mode.CLOUD)  # modes whose text is the target's choice throughout

DEMO_OPTIONS = Options(max_tokens=_MAX_TOKENS)
EXACT_SHAPE = Shape(span=8, window=16)  # given: not by the speed this run happens to have

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What the demo runs on."""

    target: str = TARGET
    draft: Path = SHIPPED_DRAFT
    tasks: Path = TASKS_FILE


@dataclass(frozen=True, slots=True)
class Shown:
    """A finished answer with the text of each token."""

    question: Question
    result: Result
    pieces: tuple[str, ...]

    @property
    def right(self) -> bool:
        return self.result.text == self.question.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One mode on all tasks. Bytes: of all messages, both directions, per committed token."""

    right: int
    answers: int
    tokens_per_s: float
    acceptance: float
    target_passes_per_token: float
    bytes_per_token: float

    @property
    def accuracy(self) -> float:
        return self.right / self.answers


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """Everything the demo found out."""

    modes: Mapping[Mode, Figures]
    comparison: Comparison | None  # of exact mode, if it ran
    sample: Shown


def run_demo(pair: Pair, modes: Sequence[Mode], tasks: int, say: Say) -> DemoReport:
    """`tasks` of each domain. Raises what a device or a cloud process raises."""
    questions = pick(read_questions(pair.tasks), tasks)
    say("starting a cloud on loopback")
    with CloudProcess(pair.target) as cloud:
        settings = DeviceSettings(draft=pair.draft, cloud=Address(target=cloud.address))
        with Device(settings) as device:
            _answer_all(device, Mode.EXACT, questions[:1])  # both models warm up
            shown = {}
            for mode in modes:
                say(f"{mode.value}: answering {len(questions)} tasks")
                shown[mode] = _answer_all(device, mode, questions)
            say("auditing: what would draft and target have chosen at each position?")
            figures = {mode: _figures(device, mode, answers) for mode, answers in shown.items()}
    comparison = None
    if Mode.EXACT in shown:
        say("comparing exact mode with the target alone")
        results = [each.result for each in shown[Mode.EXACT]]
        comparison = compare(pair.target, results, _MAX_TOKENS)
    return DemoReport(
        modes=figures,
        comparison=comparison,
        sample=_longest_mixed(shown[modes[0]]),
    )


def pick(questions: Iterable[Question], each: int) -> list[Question]:
    """The first tasks of each of the demo's domains, domains in turn. Raises BadInput."""
    chosen = [q for q in questions if q.domain in DOMAINS and q.answer is not None]
    by_domain = [[q for q in chosen if q.domain == domain][:each] for domain in DOMAINS]
    short = [d for d, some in zip(DOMAINS, by_domain, strict=True) if len(some) < each]
    if short or each < 1:
        most = min(sum(q.domain == domain for q in chosen) for domain in DOMAINS)
        raise BadInput(f"the demo has 1 to {most} tasks of each domain, not {each}")
    return [question for turn in zip(*by_domain, strict=True) for question in turn]


def _answer_all(device: Device, mode: Mode, questions: Sequence[Question]) -> list[Shown]:
    return [_answer(device, mode, question) for question in questions]


def _answer(device: Device, mode: Mode, question: Question) -> Shown:
    shape = EXACT_SHAPE if mode is Mode.EXACT else DEMO_OPTIONS.shape
    session = device.session(replace(DEMO_OPTIONS, mode=mode, shape=shape))
    answer, written = session.ask(question.prompt), WrittenText()
    for event in answer.events():
        written.take(event)
    result = answer.result()
    session.close()
    return Shown(question, result, tuple(written.pieces.values()))


def _figures(device: Device, mode: Mode, shown: Sequence[Shown]) -> Figures:
    with Auditor(device) as auditor:
        audits = [auditor.audit(s.result, by_target=mode in _BY_TARGET) for s in shown]
    results = [each.result for each in shown]
    tokens = sum(len(result.tokens) for result in results)
    traffic = sum(r.traffic.bytes_sent + r.traffic.bytes_received for r in results)
    return Figures(
        right=sum(each.right for each in shown),
        answers=len(shown),
        tokens_per_s=tokens / sum(result.seconds for result in results),
        acceptance=acceptance(audits),
        target_passes_per_token=sum(result.tally.commits for result in results) / tokens,
        bytes_per_token=traffic / tokens,
    )


def acceptance(audits: Iterable[Audit]) -> float:
    """Share of all positions at which the draft's choice is the target's."""
    counted = [(audit.agreed, len(audit.answer)) for audit in audits]
    return sum(agreed for agreed, _ in counted) / sum(length for _, length in counted)


def _longest_mixed(shown: Sequence[Shown]) -> Shown:
    """The longest answer among those with the most authors."""
    return max(shown, key=lambda s: (len(set(s.result.origins)), len(s.result.tokens)))
