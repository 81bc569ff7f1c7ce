"""Texts written by a target alone, with what it thought at every position: the offline records.

It drives an engine directly, many texts in one forward; it knows neither files nor tokenizers.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

from outrider_cloud.engine import Engine, Work
from outrider_cloud.records.record import Tops
from outrider_protos.limits import MAX_SEED
from outrider_protos.words import Sampling


@dataclass(frozen=True, slots=True)
class Written:
    """What the target wrote after the prompt of this index."""

    index: int
    sampling: Sampling
    tokens: tuple[int, ...]
    tops: Tops


@dataclass(slots=True)
class _Text:
    index: int
    prompt: Sequence[int]
    sampling: Sampling
    tokens: list[int] = field(default_factory=list)
    tops: list[Tops] = field(default_factory=list)

    @property
    def session(self) -> int:
        return self.index + 1

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.tokens)

    def work(self) -> Work:
        """All of the prompt at first, then the last token."""
        fed = tuple(self.tokens[-1:]) or tuple(self.prompt)
        return Work(
            session=self.session, past=self.length - len(fed), prefix=fed, sampling=self.sampling
        )

    def written(self) -> Written:
        return Written(self.index, self.sampling, tuple(self.tokens), Tops.joined(self.tops))


class Author:
    """Lets a target write. Every prompt must leave room for a token in its context."""

    def __init__(self, engine: Engine, *, max_tokens: int, at_once: int) -> None:
        self._engine = engine
        self._max_tokens, self._at_once = max_tokens, at_once
        self._writing: list[_Text] = []

    def write(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> Generator[Written]:
        """One text for each prompt, in the order they end.

        Prompt i samples with the seed `sampling.seed + i`: equal noise at equal positions would
        make the texts alike.
        """
        coming = iter(enumerate(prompts))
        self._writing = []
        try:
            while self._admit(coming, sampling) or self._writing:
                yield from self._step()
        finally:
            for text in self._writing:
                self._engine.release(text.session)

    def _admit(self, coming: Iterator[tuple[int, Sequence[int]]], sampling: Sampling) -> bool:
        """At most one more a step: prompts take long, and the others should not wait for many."""
        if len(self._writing) >= self._at_once or not self._has_room():
            return False
        for index, prompt in coming:
            seed = (sampling.seed + index) & MAX_SEED
            self._writing.append(_Text(index, prompt, replace(sampling, seed=seed)))
            return True
        return False

    def _has_room(self) -> bool:
        """For one text of any length beside those that are being written, however long they get."""
        limits = self._engine.limits
        most = -(-limits.context_tokens // limits.page_tokens)
        return not self._writing or (len(self._writing) + 1) * most <= limits.pages

    def _step(self) -> Iterator[Written]:
        verdicts = self._engine.forward([text.work() for text in self._writing])
        for text in self._writing:
            self._engine.hold(text.session, [0])
        tops = self._engine.tops().split([1] * len(self._writing))
        for text, verdict, opinion in zip(list(self._writing), verdicts, tops, strict=True):
            assert verdict is not None
            text.tokens.append(verdict.choices[0])
            text.tops.append(opinion)
            if self._ended(text):
                self._writing.remove(text)
                self._engine.release(text.session)
                yield text.written()

    def _ended(self, text: _Text) -> bool:
        limits = self._engine.limits
        return (
            text.tokens[-1] in limits.end_ids
            or len(text.tokens) >= self._max_tokens
            or text.length >= limits.context_tokens
        )
