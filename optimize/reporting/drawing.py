"""The canvas of the report's charts: measured text, labels that keep clear, SVG for light and dark.

Text is drawn as outlines, so a chart looks the same wherever it is opened. Colours follow the
reader's scheme; printed, and where style sheets are ignored, a chart is dark on white.
"""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedFormatter, FixedLocator, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

# Name: light, dark.
THEME = {
    "background": ("#ffffff", "#14171c"),
    "ink": ("#1f2328", "#e6e8eb"),
    "muted": ("#59636e", "#a3adb8"),
    "grid": ("#e0e4e8", "#2c323a"),
}
BACKGROUND, INK, MUTED, GRID = (light for light, _ in THEME.values())
# Of middle lightness: they show on both backgrounds. Shapes tell them apart without colour.
COLOURS = ("#6e7781", "#0072b2", "#d55e00", "#00875f", "#b3589a", "#9a6a00", "#7a5fd0")
MARKERS = ("o", "s", "^", "D", "v", "P", "h")

SIZE = 9.0
LINE = 13.0  # points from one base line to the next
KEY = 13.0  # points that a shape takes before its label
_SPREAD = 10.0  # the ratio from which an axis is logarithmic
_STYLE = {
    "axes.edgecolor": MUTED,
    "axes.facecolor": BACKGROUND,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,
    "figure.facecolor": BACKGROUND,
    "font.family": "DejaVu Sans",
    "font.size": SIZE,
    "grid.color": GRID,
    "svg.fonttype": "path",
    "svg.hashsalt": "chart",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
_SVG = "http://www.w3.org/2000/svg"

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Key:
    """How a step is drawn, and what it is called; hollow where it is not part of the way."""

    text: str
    colour: str
    shape: str
    bold: bool = False
    hollow: bool = False

    @property
    def inside(self) -> str:
        """The colour within the shape."""
        return BACKGROUND if self.hollow else self.colour

    @property
    def width(self) -> float:
        """Points that the label takes, its shape included."""
        return KEY + text_width(self.text, bold=True)


@contextmanager
def canvas(heading: str, conditions: Sequence[str], right: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure with its headline and one set of axes; one unit is a point.

    Args:
        heading: The headline.
        conditions: Lines below it, cut where they do not fit.
        right: Points to leave beside the axes.
    """
    width, height, left, bottom, top = 560.0, 350.0, 58.0, 44.0, 24.0 + LINE * len(conditions)
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(width / 72, height / 72))
        figure.text(12 / width, 1 - 18 / height, heading, size=11, weight="bold")
        for row, line in enumerate(conditions, 1):
            text = fit(line, width - 24)
            figure.text(12 / width, 1 - (19 + LINE * row) / height, text, color=MUTED)
        box = (left, bottom, width - left - right, height - bottom - top - 14)
        unit = (width, height, width, height)
        left, bottom, wide, high = (part / whole for part, whole in zip(box, unit, strict=True))
        axes = figure.add_axes((left, bottom, wide, high))
        axes.set_axisbelow(True)
        yield figure, axes


@cache
def text_width(text: str, bold: bool = False) -> float:
    """Points that a text takes."""
    font = FontProperties(family="DejaVu Sans", size=SIZE, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def fit(text: str, width: float, bold: bool = False) -> str:
    """The text, its middle left out where it is wider than so many points."""
    if len(text) < 200 and text_width(text, bold) <= width:
        return text
    shortened = ["…", *(f"{text[:n]}…{text[-n:]}" for n in range(1, min(len(text) // 2, 100)))]
    fits = bisect_right(shortened, width, key=lambda short: text_width(short, bold))
    return shortened[max(fits - 1, 0)]


def linear(axes: Axes, axis: Literal["x", "y"], low: float, high: float, most: float) -> None:
    """Limits of a linear axis, and ticks from 0 to `most` where they are within them."""
    axes.set(**{f"{axis}lim": (low, high)})
    found = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ticks(axes, axis, [x for x in found if max(low, 0) <= x <= min(high, most)])


def positive(axes: Axes, axis: Literal["x", "y"], low: float, high: float) -> None:
    """Limits and ticks around positive values: from 0, or logarithmic where they are far apart."""
    if high <= _SPREAD * low or low <= 0:
        linear(axes, axis, 0.0, 1.1 * high or 1.0, most=np.inf)
        return
    pad = (high / low) ** 0.08
    axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low / pad, high * pad)})
    subs = (1.0, 2.0, 5.0) if high / low < 1e3 else (1.0,)
    found = LogLocator(subs=subs, numticks=20).tick_values(low / pad, high * pad)
    ticks(axes, axis, [x for x in found if low / pad <= x <= high * pad])


def ticks(axes: Axes, axis: Literal["x", "y"], positions: Sequence[float]) -> None:
    """Puts ticks at these positions alone."""
    on = axes.xaxis if axis == "x" else axes.yaxis
    on.set_major_locator(FixedLocator(positions))
    on.set_major_formatter(FixedFormatter([f"{x:.10g}" for x in positions]))
    on.set_minor_locator(NullLocator())


def draw_label(figure: Figure, key: Key, left: float, base: float) -> None:
    """Draws a step's label from this point of the base line on."""
    weight = "bold" if key.bold else "normal"
    figure.text(left, base, key.text, weight=weight, transform=IdentityTransform())


def draw_key(figure: Figure, key: Key, left: float, base: float) -> None:
    """Draws a step's shape and its label after it."""
    pixels = IdentityTransform()
    shape = Line2D([left + 5], [base + 3], marker=key.shape, markersize=5, transform=pixels)
    shape.set(color=key.colour, markerfacecolor=key.inside)
    figure.add_artist(shape)
    draw_label(figure, key, left + KEY, base)


def draw_frame(figure: Figure, corner: Points, size: Points) -> None:
    """Draws the frame around several keys, lest their shapes pass for points of the chart."""
    frame = Rectangle((corner[0], corner[1]), *size, facecolor=BACKGROUND, edgecolor=GRID)
    frame.set_transform(IdentityTransform())
    figure.add_artist(frame)


def draw_leader(figure: Figure, start: Points, end: Points) -> None:
    """Draws a thin line between two points (2,)."""
    line = np.stack([start, end])
    figure.add_artist(Line2D(*line.T, color=MUTED, linewidth=0.6, transform=IdentityTransform()))


def to_svg(figure: Figure, title: str, description: str) -> str:
    """The figure as an SVG document that follows the colour scheme and can be read aloud."""
    file = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(file.getvalue())
    root.attrib |= {"role": "img", "aria-labelledby": "title desc"}
    for tag, text in (("desc", description), ("title", title)):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", id=tag)
        element.text = text
        root.insert(0, element)
    for element in root.iter():
        _loosen(element)
    rules = "".join(
        f".{key}-{name}{{{key}:{dark}}}"
        for name, (_, dark) in THEME.items()
        for key in ("fill", "stroke")
    )
    scheme = ElementTree.Element(f"{{{_SVG}}}style")
    scheme.text = f"@media screen and (prefers-color-scheme:dark){{{rules}}}"
    root.insert(2, scheme)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _loosen(element: ElementTree.Element) -> None:
    """Turns colours of the theme from styles into attributes, which a style sheet overrides."""
    names = {light: name for name, (light, _) in THEME.items()}
    kept, classes = [], []
    for part in filter(None, element.get("style", "").split(";")):
        key, _, value = (piece.strip() for piece in part.partition(":"))
        if key in ("fill", "stroke") and value in names:
            element.set(key, value)
            classes.append(f"{key}-{names[value]}")
        else:
            kept.append(f"{key}: {value}")
    if classes:
        element.set("class", " ".join(classes))
        element.set("style", "; ".join(kept))
        if not kept:
            del element.attrib["style"]
