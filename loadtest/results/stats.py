"""The figures made of latencies."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stats:
    """Figures of some durations in milliseconds; no deviation of a single one."""

    mean: float
    std: float | None
    p50: float
    p95: float
    p99: float
    max: float

    @staticmethod
    def of(durations: Iterable[float]) -> "Stats | None":
        """The figures of milliseconds, None of no durations; `std` is the sample's."""
        ordered = sorted(durations)
        if not ordered:
            return None
        mean = math.fsum(ordered) / len(ordered)
        squares = math.fsum((duration - mean) ** 2 for duration in ordered)
        return Stats(
            mean=_rounded(mean),
            std=_rounded(math.sqrt(squares / (len(ordered) - 1))) if len(ordered) > 1 else None,
            p50=_rounded(percentile(ordered, 50)),
            p95=_rounded(percentile(ordered, 95)),
            p99=_rounded(percentile(ordered, 99)),
            max=_rounded(ordered[-1]),
        )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The percentile of sorted values, at least one, interpolated linearly as numpy does."""
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 4)
