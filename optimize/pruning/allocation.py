"""How many heads and neurons each layer keeps: the least loss within a bound of cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Costs are rounded up to this share of the bound, so that no choice exceeds it.
_STEPS = 20_000


@dataclass(frozen=True)
class Options:
    """What one part of a layer can keep.

    Attributes:
        kept: How much is left, (options,).
        costs: What each takes, in the unit of the bound, (options,).
        losses: What each loses, (options,).
    """

    kept: tuple[int, ...]
    costs: NDArray[np.float64]
    losses: NDArray[np.float64]


def allocate(parts: Sequence[Options], bound: float) -> tuple[int, ...]:
    """How much each part keeps, so that the losses' sum is least and the costs' within the bound.

    A knapsack with one choice of each part, solved by dynamic programming over the cost.

    Args:
        parts: The options of each part.
        bound: Of the sum of costs.

    Returns:
        One of each part's `kept`.

    Raises:
        ValueError: Even the cheapest cost more.
    """
    cheapest = np.array([part.costs.min() for part in parts])
    room = bound - float(cheapest.sum())
    if room < -1e-9 * abs(bound):
        raise ValueError(f"the cheapest options cost {cheapest.sum()}, more than {bound}")
    room = max(room, 0.0)
    # What is more than the cheapest choice of each part, in steps.
    extras = [_steps(part.costs - least, room) for part, least in zip(parts, cheapest, strict=True)]
    best = np.zeros(_STEPS + 1)
    picked = np.zeros((len(parts), _STEPS + 1), dtype=np.int32)
    for index, (part, extra) in enumerate(zip(parts, extras, strict=True)):
        after = np.full(_STEPS + 1, np.inf)
        for option in np.flatnonzero(extra <= _STEPS):
            steps = extra[option]
            total = best[: _STEPS + 1 - steps] + part.losses[option]
            better = total < after[steps:]
            after[steps:][better] = total[better]
            picked[index, steps:][better] = option
        best = after
    chosen: list[int] = []
    left = _STEPS
    for index in reversed(range(len(parts))):
        option = picked[index, left]
        chosen.append(parts[index].kept[option])
        left -= extras[index][option]
    return tuple(reversed(chosen))


def _steps(extra: NDArray[np.float64], room: float) -> NDArray[np.int64]:
    """Costs in steps, rounded up; more steps than there are for what has no room."""
    shares = np.divide(extra, room, out=np.where(extra > 0, 2.0, 0.0), where=room > 0)
    # A hair less, or rounding makes of a whole number of steps one more.
    steps = np.ceil(np.minimum(shares, 2.0) * _STEPS * (1 - 1e-9))
    return steps.astype(np.int64)
