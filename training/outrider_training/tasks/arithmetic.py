"""Arithmetic word problems: the numbers and the steps of each kind of story, without words.

It does not know any language; `english`, `vietnamese` and `japanese` put the stories into words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random


class Operation(Enum):
    """What a step does with its two numbers."""

    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"


@dataclass(frozen=True, slots=True)
class Step:
    """One worked step: `left` and `right` joined by the operation give `value`."""

    operation: Operation
    left: int
    right: int

    @property
    def value(self) -> int:
        """The result; divisions are drawn so that they leave no remainder."""
        match self.operation:
            case Operation.ADD:
                return self.left + self.right
            case Operation.SUBTRACT:
                return self.left - self.right
            case Operation.MULTIPLY:
                return self.left * self.right
            case Operation.DIVIDE:
                return self.left // self.right


@dataclass(frozen=True, slots=True)
class Story:
    """The numbers a question names, in the order a to d, and the steps that answer it."""

    numbers: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def result(self) -> int:
        """The number the question asks for."""
        return self.steps[-1].value


def _add(left: int, right: int) -> Step:
    return Step(Operation.ADD, left, right)


def _subtract(left: int, right: int) -> Step:
    return Step(Operation.SUBTRACT, left, right)


def _multiply(left: int, right: int) -> Step:
    return Step(Operation.MULTIPLY, left, right)


def _divide(left: int, right: int) -> Step:
    return Step(Operation.DIVIDE, left, right)


def _bag(random: Random) -> tuple[int, int]:
    return random.randint(2, 9), random.randint(2, 9)


def _few(random: Random, below: int = 20) -> int:
    return random.randint(2, min(19, below - 1))


def _buy(random: Random) -> Story:
    a, b = random.randint(3, 59), _few(random)
    return Story((a, b), (_add(a, b),))


def _give(random: Random) -> Story:
    a = random.randint(12, 60)
    b = _few(random, a)
    return Story((a, b), (_subtract(a, b),))


def _bags(random: Random) -> Story:
    a, b = _bag(random)
    return Story((a, b), (_multiply(a, b),))


def _share(random: Random) -> Story:
    each, friends = _bag(random)
    return Story((each * friends, friends), (_divide(each * friends, friends),))


def _buy_give(random: Random) -> Story:
    a, b = random.randint(3, 49), _few(random)
    c = _few(random, a + b)
    return Story((a, b, c), (_add(a, b), _subtract(a + b, c)))


def _bags_loose(random: Random) -> Story:
    (a, b), c = _bag(random), _few(random)
    return Story((a, b, c), (_multiply(a, b), _add(a * b, c)))


def _bags_give(random: Random) -> Story:
    a, b = _bag(random)
    c = _few(random, a * b)
    return Story((a, b, c), (_multiply(a, b), _subtract(a * b, c)))


def _three_days(random: Random) -> Story:
    a, b, c = random.randint(3, 39), _few(random), _few(random)
    return Story((a, b, c), (_add(a, b), _add(a + b, c)))


def _twice(random: Random) -> Story:
    a = random.randint(3, 30)
    return Story((a,), (_multiply(a, 2), _add(a, a * 2)))


def _more_than(random: Random) -> Story:
    a, b = random.randint(3, 25), _few(random)
    return Story((a, b), (_add(a, b), _add(a, a + b)))


def _change(random: Random) -> Story:
    a, b = _bag(random)
    paid = (a * b // 10 + random.randint(1, 2)) * 10
    return Story((a, b, paid), (_multiply(a, b), _subtract(paid, a * b)))


def _buy_share(random: Random) -> Story:
    each, friends = _bag(random)
    total = each * friends
    b = _few(random, total - 1)
    return Story((total - b, b, friends), (_add(total - b, b), _divide(total, friends)))


def _bags_loose_give(random: Random) -> Story:
    (a, b), c = _bag(random), _few(random)
    total = a * b + c
    d = _few(random, total)
    return Story((a, b, c, d), (_multiply(a, b), _add(a * b, c), _subtract(total, d)))


STORIES: Mapping[str, Callable[[Random], Story]] = {
    "buy": _buy,
    "give": _give,
    "bags": _bags,
    "share": _share,
    "buy_give": _buy_give,
    "bags_loose": _bags_loose,
    "bags_give": _bags_give,
    "three_days": _three_days,
    "twice": _twice,
    "more_than": _more_than,
    "change": _change,
    "buy_share": _buy_share,
    "bags_loose_give": _bags_loose_give,
}
