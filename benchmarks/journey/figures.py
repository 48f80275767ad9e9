"""The figures of `benchmarks.journey` and their bounds, from what was measured; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.rounds import Figure, Spread, ratio_of_medians
from predictor.artifact import MODEL_FILES

LENGTHS = (128, 384)
MOST_MIB = 410
MOST_GIB = 8


@dataclass(frozen=True)
class Measured:
    """What the processes found.

    Attributes:
        folders: System → its artifact.
        seconds: System and length → one value per round; the same position is the same round.
        attention: Fused Attention operators in the compacted graph.
        layers: How many it has to have.
        peaks: Process → bytes of memory at its peak.
    """

    folders: Mapping[str, Path]
    seconds: Mapping[tuple[str, int], Sequence[float]]
    attention: int
    layers: int
    peaks: Mapping[str, int]


def figures(measured: Measured) -> list[Figure]:
    """Every figure, with its bound."""
    size = (measured.folders["compacted graph"] / MODEL_FILES["onnx"]).stat().st_size / 2**20
    worst = max(measured.peaks, key=lambda name: measured.peaks[name])
    return [
        _one("fused", "Attention operators, one a layer", measured.attention, measured.layers),
        _one("size", "compacted fp32 file", size, MOST_MIB, unit="MiB", at_most=True),
        _speedup(measured, "dense", "dense graph", "compacted graph", 384, 3.3),
        _speedup(measured, "heads", "heads graph", "compacted graph", 384, 2.6),
        _speedup(measured, "int8", "dense torch", "compacted int8", 128, 8),
        _one(
            "memory",
            "largest peak of a process",
            measured.peaks[worst] / 2**30,
            MOST_GIB,
            unit="GiB",
            at_most=True,
            detail=worst,
        ),
    ]


def _speedup(
    measured: Measured, name: str, slow: str, fast: str, length: int, bound: float
) -> Figure:
    before, after = (measured.seconds[system, length] for system in (slow, fast))
    return Figure(
        name,
        f"{slow} over {fast}, {length} tokens",
        ratio_of_medians(before, after),
        bound=bound,
        at_most=False,
        unit="×",
        detail=f"{1e3 * median(before):.0f} ms over {1e3 * median(after):.0f} ms",
    )


def _one(
    name: str,
    what: str,
    value: float,
    bound: float,
    *,
    unit: str = "",
    at_most: bool = False,
    detail: str = "",
) -> Figure:
    return Figure(name, what, Spread.of([value]), bound, at_most, unit, detail)
