"""A language as data: names, things, phrases; and how a story becomes a question and an answer.

It does not know which languages there are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random

from outrider_training.tasks.arithmetic import STORIES, Operation, Story
from outrider_training.tasks.task import Kinds, Wording


@dataclass(frozen=True, slots=True)
class Phrases:
    """The questions one kind of story may be asked with, and the sentence that closes the answer.

    Placeholders: a to d are the story's numbers, n and m two names, item a thing, r the result.
    """

    questions: tuple[str, ...]
    closing: str


@dataclass(frozen=True, slots=True)
class Language:
    """Everything needed to word the stories."""

    names: tuple[str, ...]
    items: tuple[str, ...]
    steps: Mapping[Operation, str]
    """Placeholders: left, right, value."""
    phrases: Mapping[str, Phrases]
    sentence_gap: str

    def kinds(self) -> Kinds:
        """One kind of task per kind of story."""
        return {name: partial(self._word, name, draw) for name, draw in STORIES.items()}

    def _word(self, name: str, draw: Callable[[Random], Story], random: Random) -> Wording:
        story = draw(random)
        first, second = random.sample(self.names, 2)
        places: dict[str, str | int] = dict(zip("abcd", story.numbers, strict=False))
        places |= {"n": first, "m": second, "item": random.choice(self.items), "r": story.result}
        phrases = self.phrases[name]
        sentences = [
            self.steps[step.operation].format(left=step.left, right=step.right, value=step.value)
            for step in story.steps
        ]
        sentences.append(phrases.closing.format_map(places))
        question = random.choice(phrases.questions).format_map(places)
        return question, self.sentence_gap.join(sentences)
