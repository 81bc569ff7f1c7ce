"""The generated Python functions do what their descriptions say."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest

from outrider_training.tasks import KINDS
from outrider_training.tasks.task import words

Numbers = Sequence[int]
Texts = Sequence[str]

# Written from the descriptions alone: the collection, then the numbers the prompt names.
REFERENCES: dict[str, Callable[..., object]] = {
    "sum_above": lambda xs, c: sum(filter(lambda x: x > c, xs)),
    "count_multiples": lambda xs, c: len([x for x in xs if not x % c]),
    "largest": lambda xs, c: sorted(xs)[::-1][:c],
    "mean": lambda xs, c: sum(xs) / len(xs) if xs else c,
    "scale": lambda xs, c: list(map(c.__mul__, xs)),
    "between": lambda xs, c, d: [x for x in xs if x in range(c, d + 1)],
    "running_total": lambda xs, c: [c + sum(xs[: i + 1]) for i in range(len(xs))],
    "first_above": lambda xs, c: next((x for x in xs if x > c), None),
    "clip": lambda xs, c: [c if x > c else x for x in xs],
    "all_below": lambda xs, c: not [x for x in xs if x >= c],
    "spread": lambda xs, c: sorted(xs)[-1] - sorted(xs)[0] + c,
    "every_nth": lambda xs, c: [x for i, x in enumerate(xs) if i % c == 0],
    "unique": lambda xs: list(dict.fromkeys(xs)),
    "tally": lambda xs: dict(Counter(xs)),
    "longer_than": lambda xs, c: list(filter(lambda x: len(x) >= c + 1, xs)),
    "length_map": lambda xs: dict(zip(xs, map(len, xs), strict=True)),
    "upper_sorted": lambda xs: sorted(map(str.upper, xs)),
    "shortest": lambda xs: sorted(xs, key=len)[0],
    "group_by_length": lambda xs: {len(x): [y for y in xs if len(y) == len(x)] for x in xs},
    "repeat": lambda xs, c: ["".join([x] * c) for x in xs],
}
TEXT_KINDS = list(REFERENCES)[list(REFERENCES).index("unique") :]
NO_EMPTY_INPUT = {"spread", "shortest"}


def _inputs(kind: str, random: Random) -> list[list[int]] | list[list[str]]:
    lengths = [1, 3, 12, 40] if kind in NO_EMPTY_INPUT else [0, 1, 3, 12, 40]
    if kind in TEXT_KINDS:
        words = ["ab"[: random.randint(0, 2)] * random.randint(1, 12) for _ in range(9)]
        return [[random.choice(words) for _ in range(length)] for length in lengths]
    return [[random.randint(-5, 95) for _ in range(length)] for length in lengths]


def test_every_kind_of_function_has_a_reference() -> None:
    assert set(REFERENCES) == set(KINDS["python"])


@pytest.mark.parametrize("kind", REFERENCES)
def test_functions_do_what_their_descriptions_say(kind: str) -> None:
    for seed in range(25):
        random = Random(seed)
        prompt, answer = KINDS["python"][kind](random)
        name = prompt.removeprefix("Write a Python function ").split("(")[0]
        numbers = [int(number) for number in re.findall(r"\d+", prompt)]
        scope: dict[str, Callable[[object], object]] = {}
        exec(answer, scope)
        for value in _inputs(kind, random):
            assert scope[name](list(value)) == REFERENCES[kind](value, *numbers)


def test_prompts_name_every_word_of_the_code_that_is_not_python() -> None:
    known = set(
        words(
            "def return sum for in if sorted reverse True len not min max total result append None "
            "all get key setdefault upper 0 1"
        )
    )
    for kind in KINDS["python"].values():
        for seed in range(20):
            prompt, answer = kind(Random(seed))
            assert set(re.findall(r"\w+", answer)) <= known | set(re.findall(r"\w+", prompt))
