"""The examples an online run still learns from: bounded, balanced, and let go of by a rule.

Pure; chance is passed in. It knows neither records nor models.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from outrider_training.examples import Example


class Eviction(Enum):
    """Who leaves when the buffer is full, of the domain that has most."""

    OLDEST = "oldest"
    RESERVOIR = "reservoir"  # all that ever came are kept with equal chance
    LEAST_INFORMATIVE = "least-informative"  # whose proposals stood most often


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferRules:
    """`passes`: updates an example takes part in; 1 as in the paper, where it goes after one."""

    size: int = 2000  # examples
    eviction: Eviction = Eviction.LEAST_INFORMATIVE
    passes: int | None = None  # None: as often as chance has it
    half_life: int | None = None  # newer ones of its domain that halve an example's chance


@dataclass(slots=True, eq=False)
class _Item:
    example: Example
    information: float
    number: int  # in its domain
    passes: int = 0
    drawn: bool = False  # since the last update


@dataclass(slots=True)
class ReplayBuffer:
    """Holds at most `rules.size` examples."""

    rules: BufferRules
    random: Random
    _items: defaultdict[str, list[_Item]] = field(default_factory=lambda: defaultdict(list))
    _came: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return sum(map(len, self._items.values()))

    @property
    def domains(self) -> dict[str, int]:
        """How many examples of each there are."""
        return {domain: len(items) for domain, items in sorted(self._items.items()) if items}

    def add(self, example: Example, information: float, passes: int = 0) -> None:
        """`information`: the share of positions whose proposal did not stand; `passes`: updates
        that it took part in before.
        """
        self._came[example.domain] += 1
        item = _Item(example, information, self._came[example.domain], passes)
        self._items[example.domain].append(item)
        if len(self) > self.rules.size:
            self._evict(example.domain)

    def draw(self, count: int) -> list[Example]:
        """Of every domain as many as of any other, as far as they go; each example once."""
        pools = [self._shuffled(domain) for domain, items in self._items.items() if items]
        self.random.shuffle(pools)
        drawn: list[_Item] = []
        while len(drawn) < count and any(pools):
            drawn += [pool.pop() for pool in pools if pool][: count - len(drawn)]
        for item in drawn:
            item.drawn = True
        return [item.example for item in drawn]

    def _shuffled(self, domain: str) -> list[_Item]:
        """In a random order whose end, where drawing begins, favours the newest.

        Keys u ** (1 / weight) order a weighted sample without replacement (Efraimidis, Spirakis).
        """
        items, life = self._items[domain], self.rules.half_life
        if life is None:
            return self.random.sample(items, len(items))
        newest = self._came[domain]

        def key(item: _Item) -> float:
            age = min(1000.0, (newest - item.number) / life)
            return math.log(1.0 - self.random.random()) * math.pow(2.0, age)

        return sorted(items, key=key)

    def forget(self, tenants: Collection[str]) -> None:
        """Let go of all examples of these tenants."""
        for items in self._items.values():
            items[:] = [item for item in items if item.example.tenant not in tenants]

    def passes(self) -> list[tuple[Example, int]]:
        """Every example, and how many updates it took part in."""
        return [(item.example, item.passes) for items in self._items.values() for item in items]

    def let_go(self) -> None:
        """After an update: forget what has been learnt from often enough."""
        most = self.rules.passes
        for items in self._items.values():
            for item in items:
                item.passes, item.drawn = item.passes + item.drawn, False
            if most is not None:
                items[:] = [item for item in items if item.passes < most]

    def _evict(self, newcomer: str) -> None:
        domain = max(self._items, key=lambda name: len(self._items[name]))
        items = self._items[domain]
        match self.rules.eviction:
            case Eviction.OLDEST:
                del items[0]
            case Eviction.LEAST_INFORMATIVE:
                items.remove(min(items, key=lambda item: item.information))
            case Eviction.RESERVOIR:
                del items[self._unlucky(items, newcomer=domain == newcomer, domain=domain)]

    def _unlucky(self, items: Sequence[_Item], *, newcomer: bool, domain: str) -> int:
        """Algorithm R: the newcomer takes a place with the chance of one among all that came."""
        if not newcomer:
            return self.random.randrange(len(items))
        place = self.random.randrange(self._came[domain])
        return min(place, len(items) - 1)
