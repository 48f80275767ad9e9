"""Where the labels of a chart stand: clear of each other, of the points, and best of the lines.

Coordinates are points (1/72 inch) from the figure's lower left corner.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from optimize.reporting.drawing import (
    KEY,
    LINE,
    Key,
    Points,
    draw_frame,
    draw_key,
    draw_label,
    draw_leader,
)

_TOGETHER = 11.0  # points so near to each other share a block of labels
_MARK = 6.0


def beside(
    figure: Figure, axes: Axes, keys: Sequence[Key], points: Points, lines: Sequence[Points]
) -> None:
    """Draws labels as near to their points as there is room, with leaders where that is far.

    Args:
        figure, axes: Where to draw, and what to stay within.
        keys: A label for each point.
        points: Their places (n, 2).
        lines: Polylines (m, 2) that labels stand on only where they must.
    """
    ink = np.concatenate([points, *map(_sampled, lines)])
    marks = np.concatenate([points - _MARK, points + _MARK], axis=1)
    labels = np.empty((0, 4))
    for members in _groups(points):
        point = points[members].mean(axis=0)
        alone = len(members) == 1
        width = max(keys[i].width for i in members) - KEY * alone
        size = np.array([width + 8, LINE * len(members) + 2])
        corners = _free(axes, size, np.concatenate([marks, labels]))
        if not len(corners):
            raise ValueError("the chart has no room for another label")
        boxes = np.concatenate([corners, corners + size], axis=1)
        near = np.clip(point, boxes[:, :2], boxes[:, 2:])
        away = np.hypot(*(near - point).T)
        cost = away + 0.05 * np.abs(corners + size / 2 - point).max(axis=1)
        cost += 4.0 * _inside(ink, boxes).sum(axis=0)
        # A label that is as near to another point would be read as that one's.
        others = np.delete(points, members, axis=0)[:, None]
        gaps = np.hypot(*(np.clip(others, boxes[:, :2], boxes[:, 2:]) - others).transpose(2, 0, 1))
        cost += 40.0 * (gaps < away + _MARK).any(axis=0)
        order = np.argsort(cost, kind="stable")
        clear = (i for i in order if not _inside(_sampled([point, near[i]]), labels).any())
        best = next(clear, order[0])
        labels = np.concatenate([labels, boxes[best : best + 1]])
        length = np.hypot(*(near[best] - point))
        if length > 2.5 * _MARK:
            ink = np.concatenate([ink, _sampled([point, near[best]])])
            draw_leader(figure, point + (near[best] - point) * _MARK / length, near[best])
        left, base = boxes[best][0] + 4, boxes[best][3] - LINE + 2.5
        if alone:
            draw_label(figure, keys[members[0]], left, base)
            continue
        draw_frame(figure, boxes[best][:2], size)
        for row, i in enumerate(members):
            draw_key(figure, keys[i], left, base - LINE * row)


def column(figure: Figure, axes: Axes, keys: Sequence[Key], points: Points) -> None:
    """Draws labels in a column right of the axes, with leaders to their points (n, 2)."""
    _, low, left, high = axes.bbox.extents
    rows = spread(points[:, 1].tolist(), low, high)
    for key, point, row in zip(keys, points, rows, strict=True):
        draw_leader(figure, point + (5, 0), np.array([left + 18, row]))
        draw_key(figure, key, left + 20, row - 3)


def spread(heights: Sequence[float], low: float, high: float) -> list[float]:
    """Heights of labels in a column, each as near to its own as the others let it be.

    Args:
        heights: Where the labels would stand alone.
        low, high: The column's ends.
    """
    order = sorted(range(len(heights)), key=lambda i: (-heights[i], i))
    found = list(heights)
    ceiling = high
    for i in order:
        found[i] = min(found[i], ceiling)
        ceiling = found[i] - LINE
    floor = low
    for i in reversed(order):
        found[i] = max(found[i], floor)
        floor = found[i] + LINE
    return found


def _groups(points: Points) -> list[list[int]]:
    """Indices of points that are near to each other, directly or over others."""
    groups: list[list[int]] = []
    for i, point in enumerate(points):
        near = [g for g in groups if (np.hypot(*(points[g] - point).T) < _TOGETHER).any()]
        groups = [g for g in groups if g not in near]
        groups.append(sorted([i, *(j for group in near for j in group)]))
    return groups


def _free(axes: Axes, size: Points, taken: Points) -> Points:
    """Lower left corners (n, 2) within the axes where a box touches none of those taken (m, 4)."""
    left, bottom, right, top = axes.bbox.extents
    across = np.arange(left + 2, right - size[0], 3.0)
    up = np.arange(bottom + 2, top - size[1], 3.0)
    corners = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    after, before = corners[:, None] >= taken[:, 2:], corners[:, None] + size <= taken[:, :2]
    apart = np.any(after | before, axis=2)
    return corners[np.all(apart, axis=1)]


def _sampled(line: Points | Sequence[Points]) -> Points:
    """Points (n, 2) every two points' length along a polyline (m, 2)."""
    line = np.asarray(line)
    pieces = [
        np.linspace(start, end, 2 + int(np.hypot(*(end - start)) / 2))
        for start, end in zip(line[:-1], line[1:], strict=True)
    ]
    return np.concatenate([line, *pieces])


def _inside(points: Points, boxes: Points) -> NDArray[np.bool_]:
    """Whether each point (n, 2) lies in each box (m, 4): (n, m)."""
    after, before = points[:, None] > boxes[:, :2], points[:, None] < boxes[:, 2:]
    return np.asarray(np.all(after & before, axis=2))
