"""The figures of `benchmarks.engine` and their bounds, from what was measured; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from benchmarks.rounds import Figure, Spread, ratio_of_medians

DENSE = "PyTorch fp32, dense"
FP32, INT8 = "ours, fp32", "ours, int8"
FP32_BEFORE = "ours, fp32 with the norm fused"
BF16, OV_INT8 = "OpenVINO bf16", "OpenVINO int8"
BF16_FIXED, OV_INT8_FIXED = f"{BF16}, compiled per length", f"{OV_INT8}, compiled per length"
BF16_DENSE, OV_INT8_DENSE = f"{BF16}, dense", f"{OV_INT8}, dense"

LENGTHS = (32, 128, 384, 512)
# × over dense PyTorch.
_SPEEDUPS = {32: 15, 128: 12.5, 384: 10.5, 512: 9.8}
_AHEAD_AT = (32, 128)
BLOCK = 50
"""Questions that one system answers before the next one's turn: a round of the traffic."""

ByLength = Mapping[tuple[str, int], Sequence[float]]
"""System and length → seconds, one per round; the same position is the same round."""


@dataclass(frozen=True)
class Traffic:
    """What the questions took.

    Attributes:
        cold: System → seconds of each question in the first pass, in their order.
        warm: The same in the second pass.
        answers: System → its answers in the second pass.
    """

    cold: Mapping[str, Sequence[float]]
    warm: Mapping[str, Sequence[float]]
    answers: Mapping[str, Sequence[str]]

    def same(self, name: str) -> float:
        """The share of the questions that a system answers as our fp32 graph does."""
        pairs = zip(self.answers[name], self.answers[FP32], strict=True)
        return fmean(one == other for one, other in pairs)


def fixed_figures(seconds: ByLength) -> list[Figure]:
    """Those of fixed lengths; what needs a rival that was not measured is left out."""
    made = [
        _fixed(f"int8-{length}", seconds, DENSE, length, _SPEEDUPS[length]) for length in LENGTHS
    ]
    for length in _AHEAD_AT:
        medians = {n: median(v) for (n, at), v in seconds.items() if at == length and _is_rival(n)}
        if medians:
            best = min(medians, key=lambda name: medians[name])
            made.append(_fixed(f"ahead-{length}", seconds, best, length, 1))
    return made


def traffic_figures(traffic: Traffic) -> list[Figure]:
    """Those of real lengths; what needs a rival that was not measured is left out."""
    made = [_mean("traffic-fp32", "warm", traffic.warm, FP32_BEFORE, 1.6)]
    for name, what, seconds, bound in (
        ("traffic-warm", "warm", traffic.warm, 1.1),
        ("traffic-cold", "cold", traffic.cold, 1.5),
    ):
        means = {n: fmean(values) for n, values in seconds.items() if _is_rival(n)}
        if means:
            best = min(means, key=lambda name: means[name])
            made.append(_mean(name, what, seconds, best, bound))
    return made


def _is_rival(name: str) -> bool:
    return name.startswith("OpenVINO")


def _fixed(name: str, seconds: ByLength, slow: str, length: int, bound: float) -> Figure:
    above, below = seconds[slow, length], seconds[INT8, length]
    return Figure(
        name,
        f"{slow} over {INT8}, {length} tokens",
        ratio_of_medians(above, below),
        bound,
        at_most=False,
        unit="×",
        detail=f"{1e3 * median(above):.1f} ms over {1e3 * median(below):.1f} ms",
    )


def _mean(
    name: str, what: str, seconds: Mapping[str, Sequence[float]], slow: str, bound: float
) -> Figure:
    """A ratio of means over all questions; the spread is that of the blocks'."""
    above, below = seconds[slow], seconds[INT8]
    blocks = [
        fmean(above[first : first + BLOCK]) / fmean(below[first : first + BLOCK])
        for first in range(0, len(above), BLOCK)
    ]
    return Figure(
        name,
        f"{slow} over {INT8}, real lengths, {what}",
        Spread(fmean(above) / fmean(below), min(blocks), max(blocks), len(blocks)),
        bound,
        at_most=False,
        unit="×",
        detail=f"{1e3 * fmean(above):.1f} ms over {1e3 * fmean(below):.1f} ms a question",
    )
