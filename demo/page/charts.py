"""Charts as SVG that is as wide as the page lets it be, in the page's colours.

Places are percentages and letters are in pixels, so that texts stay legible on a phone. The style
sheet has the colours; shapes tell the steps apart without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from demo.page.highlight import shown

_HEIGHT = 240  # pixels; the style sheet leaves room for the ticks around them
_TICK = 9  # percent that a tick's number takes on a phone
_SHAPES = (
    '<circle r="5"/>',
    '<rect x="-4.5" y="-4.5" width="9" height="9"/>',
    '<path d="M0 -6L6 5H-6Z"/>',
    '<path d="M0 -6.5L6.5 0L0 6.5L-6.5 0Z"/>',
    '<path d="M0 6L6 -5H-6Z"/>',
    '<path d="M-6 -2H-2V-6H2V-2H6V2H2V6H-2V2H-6Z"/>',
)


@dataclass(frozen=True)
class Line:
    """A named line through points (x, y); `number` chooses its colour and shape."""

    name: str
    number: int
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, linear or logarithmic, with its ticks."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Percent of the way from low to high."""
        if self.logarithmic:
            return 100 * math.log(value / self.low) / math.log(self.high / self.low)
        return 100 * (value - self.low) / (self.high - self.low)


def linear(label: str, values: Sequence[float], *, zero: bool, least: float = 1.0) -> Axis:
    """An axis that has all values with room around them.

    Args:
        label: What it measures, with its unit.
        values: At least one.
        zero: Whether it begins at 0.
        least: The span that it has at least: what is less shall not look like much.
    """
    low, high = (0.0 if zero else min(values)), max(values)
    span = max(high - low, least)
    room = 0.12 * span
    middle = (low + high) / 2
    begin = 0.0 if zero else middle - span / 2 - room
    end = (high if zero else middle + span / 2) + room
    power = 10.0 ** math.floor(math.log10((end - begin) / 4))
    step = next(power * n for n in (1, 2, 5, 10) if (end - begin) / (power * n) <= 6)
    first = math.ceil(begin / step - 1e-9)
    ticks = [step * n for n in range(first, math.floor(end / step + 1e-9) + 1)]
    return Axis(label, begin, end, ticks)


def logarithmic(label: str, values: Sequence[float]) -> Axis:
    """A logarithmic axis of values above 0; they are its ticks, but for those without room."""
    ordered = sorted(set(values), reverse=True)
    axis = Axis(label, ordered[-1] / 1.15, ordered[0] * 1.15, (), logarithmic=True)
    ticks = [ordered[0]]
    for value in ordered[1:]:
        if axis.place(ticks[-1]) - axis.place(value) >= _TICK:
            ticks.append(value)
    return replace(axis, ticks=ticks[::-1])


def symbol(number: int) -> str:
    """The shape of a line, for a legend."""
    drawn = _shape(number)
    return (
        f'<svg class="symbol" width="16" height="16" aria-hidden="true">'
        f'<g transform="translate(8 8)">{drawn}</g></svg>'
    )


def chart(title: str, across: Axis, up: Axis, lines: Sequence[Line], *, joined: bool) -> str:
    """The lines over their axes; where they are not joined, only their points."""
    parts = [*_grid(across, up)]
    for line in lines:
        ends = [(across.place(x), 100 - up.place(y)) for x, y in line.points]
        if joined:
            parts += [
                f'<line class="c{line.number % len(_SHAPES)}" x1="{a:.2f}%" y1="{b:.2f}%" '
                f'x2="{c:.2f}%" y2="{d:.2f}%"/>'
                for (a, b), (c, d) in zip(ends, ends[1:], strict=False)
            ]
        parts += [
            f'<svg x="{x:.2f}%" y="{y:.2f}%" overflow="visible">{_shape(line.number)}</svg>'
            for x, y in ends
        ]
    label = f"{title}: {', '.join(line.name for line in lines)}"
    return (
        f'<div class="chart"><svg width="100%" height="{_HEIGHT}" role="img" '
        f'aria-label="{shown(label)}">{"".join(parts)}</svg>'
        f'<p aria-hidden="true">{shown(across.label)}</p></div>'
    )


def _grid(across: Axis, up: Axis) -> list[str]:
    parts = []
    for tick in up.ticks:
        y = 100 - up.place(tick)
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/>')
        parts.append(f'<text x="-8" y="{y:.2f}%" dy="0.35em" text-anchor="end">{tick:.6g}</text>')
    for tick in across.ticks:
        x = across.place(tick)
        parts.append(f'<line class="grid" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="100%"/>')
        parts.append(
            f'<text x="{x:.2f}%" y="100%" dy="1.6em" text-anchor="middle">{tick:.6g}</text>'
        )
    return parts


def _shape(number: int) -> str:
    kind = number % len(_SHAPES)
    return f'<g class="c{kind}">{_SHAPES[kind]}</g>'
