"""`outrider-cloud alone`: what the target writes without a device, and how an answer differs.

One JSON object a line, each answered by one line. It knows neither sessions nor streams.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from outrider_cloud.engine import Engine
from outrider_cloud.errors import TargetError
from outrider_cloud.reference import Reference, measure_epsilon
from outrider_cloud.shipped import resolve
from outrider_cloud.target import load_target
from outrider_cloud.transformers_engine.engine import (
    CPU_PAGE_TOKENS,
    CUDA_PAGE_TOKENS,
    TransformersEngine,
)
from outrider_protos.limits import MAX_LOG_TOKENS, MAX_SEED, MAX_STOP_IDS
from outrider_protos.words import Sampling

_SAMPLES = 4  # texts that epsilon is measured on, for each temperature
_STRICT = ConfigDict(frozen=True, extra="forbid")

TokenIds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=MAX_LOG_TOKENS)]


class BadRequest(TargetError):
    """A line that cannot be answered; the text names the line."""


class SamplingWish(BaseModel):
    """As `outrider_protos.words.Sampling`."""

    model_config = _STRICT

    temperature: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    top_k: Annotated[int, Field(ge=1)] | None = None
    top_p: Annotated[FiniteFloat, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0

    def sampling(self) -> Sampling:
        return Sampling(**self.model_dump())


class Request(BaseModel):
    """Without `answer`: write on from `log`. With it: where would the target have differed?"""

    model_config = _STRICT

    log: Annotated[TokenIds, Field(min_length=1)]
    max_length: Annotated[int, Field(ge=1, le=MAX_LOG_TOKENS)]
    stop_ids: Annotated[TokenIds, Field(max_length=MAX_STOP_IDS)] = ()
    sampling: SamplingWish = SamplingWish()
    answer: TokenIds | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """The target alone has another token at log index `index`, given the answer before it.

    `gap` is how little must change for another choice there; a near-tie is a gap below epsilon. An
    answer that ends too early differs after its last token, by no gap.
    """

    index: int
    gap: float | None
    near_tie: bool


class Alone:
    """The target, by plain transformers; the engine only to learn how far it may be off."""

    def __init__(self, reference: Reference, engine: Engine) -> None:
        self._reference = reference
        self._engine = engine
        self._epsilons: dict[float, list[float]] = {}  # of each temperature

    def reply(self, request: Request) -> dict[str, object]:
        """Raises BadRequest for ids beyond the vocabulary."""
        limit = self._engine.limits.vocab_size
        if max((*request.log, *(request.answer or ()))) >= limit:
            raise BadRequest(f"holds a token id above {limit - 1}, the target's last")
        if request.answer is None:
            return {"tokens": self._write(request, request.log)}
        epsilon = self._epsilon(request)
        differences = self._differences(request, request.answer, epsilon)
        return {"differences": [asdict(each) for each in differences], "epsilon": epsilon}

    def _write(self, request: Request, log: tuple[int, ...]) -> list[int]:
        return self._reference.generate(
            log, request.sampling.sampling(), request.max_length, request.stop_ids
        )

    def _epsilon(self, request: Request) -> float:
        """The largest of those measured so far at this temperature."""
        temperature = request.sampling.temperature
        known = self._epsilons.setdefault(temperature, [])
        text = request.log + (request.answer or ())
        if len(known) < _SAMPLES and len(text) > 1:
            known.append(measure_epsilon(self._engine, self._reference, [text], temperature))
        return max(known, default=0.0)

    def _differences(
        self, request: Request, answer: tuple[int, ...], epsilon: float
    ) -> Iterator[Difference]:
        """Run the target alone; where it leaves the answer, note it and go on along the answer."""
        start, whole = len(request.log), request.log + answer
        while True:
            log = whole[:start]
            alone = self._write(request, log)
            same = _common(alone, whole[start:])
            if same == len(alone) == len(whole) - start:
                return
            index = start + same
            if index >= len(whole):
                yield Difference(index, None, near_tie=False)
                return
            gap = self._reference.gap_at(whole[:index], request.sampling.sampling())
            yield Difference(index, gap, near_tie=gap < epsilon)
            start = index + 1


def load(target: str, device: str, threads: int | None) -> Alone:
    """Raises TargetError."""
    loaded = load_target(resolve(target), device=device)
    page_tokens = CUDA_PAGE_TOKENS if device == "cuda" else CPU_PAGE_TOKENS
    pages = -(-loaded.context_tokens // page_tokens)  # of one text
    return Alone(Reference(loaded), TransformersEngine(loaded, pages=pages, threads=threads))


def replies(alone: Alone, lines: Iterable[str]) -> Iterator[str]:
    """One line for each. Raises BadRequest."""
    for number, line in enumerate(lines, start=1):
        try:
            yield json.dumps(alone.reply(Request.model_validate_json(line)))
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in problem["loc"]) or "it"
            raise BadRequest(f"line {number}: {place}: {problem['msg']}") from error
        except BadRequest as error:
            raise BadRequest(f"line {number}: {error}") from error


def _common(one: list[int], other: tuple[int, ...]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
