"""Where all chance comes from."""

from __future__ import annotations

import random
from typing import Sequence, TypeVar

T = TypeVar("T")


class Choices:
    """A seeded source of chance whose features can be switched off by name."""

    def __init__(self, number: int, without: frozenset[str] = frozenset()) -> None:
        self.number = number
        self.random = random.Random(f"lake {number}")
        self.without = without

    def apart(self, purpose: str) -> Choices:
        """Chance of its own: what draws from it leaves all else as it was."""
        apart = Choices(self.number, self.without)
        apart.random = random.Random(f"lake {self.number}: {purpose}")
        return apart

    def has(self, feature: str, probability: float) -> bool:
        """Whether this lake (or row) shows a feature. Draws in any case, so that switching one
        feature off leaves the others as they were as far as possible."""
        drawn = self.random.random() < probability
        return drawn and feature not in self.without

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def one(self, options: Sequence[T]) -> T:
        return self.random.choice(options)

    def weighted(self, options: dict[T, float]) -> T:
        return self.random.choices(list(options), list(options.values()))[0]

    def some(self, options: Sequence[T], least: int, most: int) -> list[T]:
        count = min(len(options), self.random.randint(least, most))
        return self.random.sample(list(options), count)

    def between(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def shuffled(self, values: Sequence[T]) -> list[T]:
        copy = list(values)
        self.random.shuffle(copy)
        return copy
