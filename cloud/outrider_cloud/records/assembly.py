"""From traces to records: gathers the turns of each generation until it ends.

Pure; the time is given. Traces of one generation come in order, but some may be missing: what
follows a gap has no known prompt any more and is left out, and counted.
"""

from dataclasses import dataclass, field

from outrider_cloud.records.record import Fate, Record, Tops, Versions
from outrider_cloud.trace import Opening, Trace

MOST_TOKENS = 1024  # of one record; a longer answer goes on in another
SILENCE_S = 60.0  # after which a generation is taken to have ended without saying so


@dataclass(slots=True)
class _Answer:
    opening: Opening
    began_s: float
    heard_s: float
    prompt: tuple[int, ...]
    tokens: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    tops: list[Tops] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.tokens)

    def add(self, trace: Trace, tops: Tops, now_s: float) -> None:
        self.tokens += trace.tokens
        self.choices += trace.choices
        self.fates += trace.fates
        self.tops.append(tops)
        self.heard_s = now_s


class Assembly:
    """All generations that are being recorded; `versions` are the cloud's own."""

    def __init__(self, versions: Versions) -> None:
        self.left_out = 0  # tokens whose beginning is not known
        self._versions = versions
        self._answers: dict[int, _Answer] = {}  # by generation

    def take(self, trace: Trace, tops: Tops, now_s: float) -> Record | None:
        """A record, if this completes one. `now_s` is Unix time."""
        if trace.opening is not None:
            opening = trace.opening
            self._answers[trace.generation] = _Answer(opening, now_s, now_s, opening.prompt)
        answer = self._answers.get(trace.generation)
        if answer is None or answer.length != trace.at:
            self.left_out += len(trace.tokens)
            return self._conclude(trace.generation)
        answer.add(trace, tops, now_s)
        if trace.ended:
            return self._conclude(trace.generation)
        if len(answer.tokens) < MOST_TOKENS:
            return None
        longer = (*answer.prompt, *answer.tokens)
        self._answers[trace.generation] = _Answer(answer.opening, now_s, now_s, longer)
        return self._record(answer)

    def silent(self, now_s: float) -> list[Record]:
        """Of generations that have not been heard of for a while."""
        gone = [n for n, each in self._answers.items() if each.heard_s + SILENCE_S <= now_s]
        return [record for n in gone if (record := self._conclude(n)) is not None]

    def rest(self) -> list[Record]:
        """Everything that is still being gathered."""
        return [record for n in list(self._answers) if (record := self._conclude(n)) is not None]

    def _conclude(self, generation: int) -> Record | None:
        answer = self._answers.pop(generation, None)
        return self._record(answer) if answer is not None and answer.tokens else None

    def _record(self, answer: _Answer) -> Record:
        opening, said = answer.opening, answer.opening.provenance
        return Record(
            tenant=opening.owner,
            time_s=answer.began_s,
            versions=Versions(
                target=self._versions.target,
                tokenizer=self._versions.tokenizer,
                runtime=self._versions.runtime,
                draft=said.draft,
                template=said.template,
            ),
            prompt=answer.prompt,
            tokens=tuple(answer.tokens),
            choices=tuple(answer.choices),
            fates=tuple(answer.fates),
            tops=Tops.joined(answer.tops),
            sampling=opening.sampling,
            rollback=opening.rollback,
            fallback=said.fallback,
            domain=said.domain,
        )
