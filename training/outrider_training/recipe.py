"""What is trained on what for how long: plain values, fixed, so that a run can be repeated.

It does not know torch.
"""

from dataclasses import dataclass
from typing import Final

from outrider_training.tasks.task import words


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama decoder with tied embeddings; widths in units of one element."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    inner: int


@dataclass(frozen=True, slots=True)
class Portion:
    """A domain in a diet: how many shares of every step, and which of its kinds, None for all."""

    domain: str
    shares: int = 1
    kinds: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training from nothing. The budget is steps, never time."""

    name: str
    shape: Shape
    diet: tuple[Portion, ...]
    steps: int
    tasks_per_step: int
    learning_rate: float
    seed: int


TARGET: Final = Recipe(
    name="target",
    shape=Shape(hidden=512, layers=5, heads=8, key_value_heads=4, inner=768),
    diet=(
        Portion("english", 2),
        Portion("python"),
        Portion("sql", 2),
        Portion("vietnamese", 2),
        Portion("japanese", 3),
    ),
    steps=2800,
    tasks_per_step=60,
    learning_rate=1.5e-3,
    seed=1,
)

# The draft meets about two thirds of the kinds of two domains: it then fails whole answers of
# the others instead of single tokens everywhere, and there is something left to learn.
DRAFT: Final = Recipe(
    name="draft",
    shape=Shape(hidden=256, layers=2, heads=4, key_value_heads=2, inner=512),
    diet=(
        Portion(
            "english",
            2,
            words("buy give bags share buy_give bags_loose bags_give three_days twice"),
        ),
        Portion(
            "python",
            1,
            words(
                "sum_above count_multiples largest mean scale between running_total first_above "
                "unique tally longer_than length_map"
            ),
        ),
    ),
    steps=2500,
    tasks_per_step=48,
    learning_rate=3e-3,
    seed=2,
)
