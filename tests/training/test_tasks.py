"""The task generator: determined by its seed, split without overlap, and right."""

import re
from collections.abc import Callable
from itertools import islice
from random import Random

import pytest

from outrider_training.tasks import DOMAINS, KINDS, Split, Task, generate, stream
from outrider_training.tasks.arithmetic import STORIES

ARITHMETIC = ("english", "vietnamese", "japanese")
STEPS = {
    "english": r"(?P<left>\d+) (?P<sign>[-+*/]) (?P<right>\d+) = (?P<value>\d+)\.",
    "vietnamese": r"Lấy (?P<left>\d+) (?P<sign>cộng|trừ|nhân|chia) (?P<right>\d+) "
    r"(?:được|còn) (?P<value>\d+)\.",
    "japanese": r"(?P<left>\d+)(?:に|から|を)(?P<right>\d+)(?P<sign>を足す|を引く|を掛ける|で割る)"
    r"と(?P<value>\d+)です。",
}
SIGNS: dict[str, Callable[[int, int], float]] = {
    **dict.fromkeys(("+", "cộng", "を足す"), lambda left, right: left + right),
    **dict.fromkeys(("-", "trừ", "を引く"), lambda left, right: left - right),
    **dict.fromkeys(("*", "nhân", "を掛ける"), lambda left, right: left * right),
    **dict.fromkeys(("/", "chia", "で割る"), lambda left, right: left / right),
}
RESULTS: dict[str, Callable[..., float]] = {
    "buy": lambda a, b: a + b,
    "give": lambda a, b: a - b,
    "bags": lambda a, b: a * b,
    "share": lambda a, b: a / b,
    "buy_give": lambda a, b, c: a + b - c,
    "bags_loose": lambda a, b, c: a * b + c,
    "bags_give": lambda a, b, c: a * b - c,
    "three_days": lambda a, b, c: a + b + c,
    "twice": lambda a: 3 * a,
    "more_than": lambda a, b: 2 * a + b,
    "change": lambda a, b, c: c - a * b,
    "buy_share": lambda a, b, c: (a + b) / c,
    "bags_loose_give": lambda a, b, c, d: a * b + c - d,
}


def test_a_seed_determines_the_tasks() -> None:
    for domain in DOMAINS:
        assert generate(domain, 5, 30) == generate(domain, 5, 30)
        assert generate(domain, 5, 30) != generate(domain, 6, 30)


def test_fewer_tasks_are_the_beginning_of_more() -> None:
    assert generate("sql", 5, 10) == generate("sql", 5, 30)[:10]


def test_held_out_tasks_are_different_and_never_drawn_for_training() -> None:
    for domain in DOMAINS:
        held_out = {task.prompt for task in generate(domain, 1, 200)}
        training = stream(domain, Random(1), Split.TRAINING)
        assert len(held_out) == 200
        assert held_out.isdisjoint(task.prompt for task in islice(training, 4000))


def test_one_task_in_sixteen_is_held_out() -> None:
    drawn = [kind(Random(seed)) for kind in KINDS["english"].values() for seed in range(300)]
    tasks = {Task("english", prompt, answer) for prompt, answer in drawn}
    held_out = [task for task in tasks if task.split is Split.HELD_OUT]
    assert 1 / 24 < len(held_out) / len(tasks) < 1 / 10


@pytest.mark.parametrize("domain", ARITHMETIC)
@pytest.mark.parametrize("kind", RESULTS)
def test_worked_steps_are_right_and_lead_to_the_answer(domain: str, kind: str) -> None:
    for seed in range(60):
        story = STORIES[kind](Random(seed))
        prompt, answer = KINDS[domain][kind](Random(seed))
        steps = list(re.finditer(STEPS[domain], answer))
        for step in steps:
            left, right = int(step["left"]), int(step["right"])
            assert SIGNS[step["sign"]](left, right) == int(step["value"])
        assert len(steps) == len(story.steps)
        closing = re.findall(r"\d+", answer[steps[-1].end() :])
        assert closing == [steps[-1]["value"]]
        assert int(closing[0]) == RESULTS[kind](*story.numbers)
        assert sorted(map(int, re.findall(r"\d+", prompt))) == sorted(story.numbers)


def test_every_kind_of_story_is_worded_in_every_language() -> None:
    assert set(RESULTS) == set(STORIES)
    for domain in ARITHMETIC:
        assert list(KINDS[domain]) == list(STORIES)


def test_worked_steps_outside_english_are_sentences_of_the_language() -> None:
    for domain in ("vietnamese", "japanese"):
        assert not any("=" in task.answer for task in generate(domain, 1, 50))


def test_one_wording_never_has_two_answers() -> None:
    for domain in DOMAINS:
        answers: dict[str, str] = {}
        for task in islice(stream(domain, Random(2), Split.TRAINING), 5000):
            assert answers.setdefault(task.prompt, task.answer) == task.answer
