"""Paired, interleaved rounds, and the figures that come out of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

Name = TypeVar("Name")


@dataclass(frozen=True)
class Spread:
    """A figure over rounds: its median, smallest and largest value."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of one value per round."""
        return cls(median(values), min(values), max(values), len(values))


@dataclass(frozen=True)
class Figure:
    """What was measured, and what it must be.

    Attributes:
        name: As `--only` takes it.
        what: One line for the table.
        value: Over the rounds.
        bound: What the median is held against.
        at_most: Whether the bound is an upper one.
        unit: × for a ratio, or a unit.
        detail: What lies behind, such as both sides' own medians.
    """

    name: str
    what: str
    value: Spread
    bound: float
    at_most: bool
    unit: str
    detail: str

    @property
    def held(self) -> bool:
        """Whether the median is within the bound."""
        if self.at_most:
            return self.value.median <= self.bound
        return self.value.median >= self.bound


def interleave(
    measures: Mapping[Name, Callable[[], float]],
    *,
    rounds: int,
    dropped: int,
    seed: int = 0,
) -> dict[Name, list[float]]:
    """Measures everything once a round, in shuffled order.

    Args:
        measures: Name → one short measurement.
        rounds: Rounds that count.
        dropped: Rounds before them that do not.
        seed: Of the order.

    Returns:
        Name → one value per round that counts; the same position is the same round.
    """
    order = list(measures)
    shuffle = random.Random(seed).shuffle
    values: dict[Name, list[float]] = {name: [] for name in measures}
    for number in range(dropped + rounds):
        shuffle(order)
        for name in order:
            value = measures[name]()
            if number >= dropped:
                values[name].append(value)
    return values


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The spread of per-round ratios."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def ratio_of_medians(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The ratio of two medians, with the smallest and the largest ratio of one round."""
    paired = [a / b for a, b in zip(above, below, strict=True)]
    return Spread(median(above) / median(below), min(paired), max(paired), len(paired))


def differences(left: Sequence[float], right: Sequence[float]) -> Spread:
    """The spread of per-round differences."""
    return Spread.of([a - b for a, b in zip(left, right, strict=True)])
