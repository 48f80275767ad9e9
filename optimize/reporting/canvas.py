"""What every chart shares: its look, a legend beside it, and the same bytes for the same figures.

matplotlib is imported where it draws: where it cannot be, a chart is missing, and nothing else.
"""

from __future__ import annotations

import io
import logging
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from optimize.errors import first_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger("optimize")

# Shapes tell them apart without colour; as their numbers share no factor, 56 pairs differ.
COLOURS = ("#6e7781", "#0072b2", "#d55e00", "#00875f", "#b3589a", "#9a6a00", "#7a5fd0")
MARKERS = ("o", "s", "^", "D", "v", "P", "h", "X")
MUTED = "#59636e"

_INCHES = (9.0, 5.0)
_LEFT = 0.015
_LINE = 120  # characters of a line of conditions
_LEAST_F1_SPAN = 2.0  # points: what is less shall not look like much
_SPREAD = 10.0  # the ratio from which an axis is logarithmic
_STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.facecolor": "white",
    "figure.labelsize": "small",
    "figure.titlesize": "medium",
    "figure.titleweight": "bold",
    "grid.color": "#e0e4e8",
    "legend.frameon": False,
    "svg.hashsalt": "chart",
    "text.parse_math": False,
}


def drawn(charts: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Draws charts by name, as far as they can be: one that cannot is a warning."""
    found = {}
    for name, draw in charts.items():
        try:
            found[name] = draw()
        except Exception as error:  # whatever matplotlib raises: all but the chart is there
            logger.warning("%s is left out, it cannot be drawn: %s", name, first_line(error))
            logger.debug("%s", name, exc_info=True)
    return found


def svg(title: str, conditions: Sequence[str], draw: Callable[[Axes], None]) -> str:
    """A chart as an SVG document with text as outlines, on white.

    Args:
        title: Its headline.
        conditions: Lines at the foot: what the figures hold for.
        draw: Draws on the axes; what it labels gets a line of the legend.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with style.context(["default", _STYLE]):
        figure = Figure(_INCHES, layout="constrained")
        figure.suptitle(title, x=_LEFT, ha="left")
        lines = "\n".join(textwrap.fill(line, _LINE) for line in conditions)
        figure.supxlabel(lines, x=_LEFT, ha="left", color=MUTED)
        axes = figure.add_subplot()
        draw(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing | {"Title": title})
    return file.getvalue().decode()


def f1_axis(axes: Axes, f1s: Sequence[float]) -> None:
    """F1 upwards, and room around it."""
    middle, half = (max(f1s) + min(f1s)) / 2, 0.65 * max(max(f1s) - min(f1s), _LEAST_F1_SPAN)
    axes.set(ylabel="F1 (%), more is better", ylim=(middle - half, middle + half))


def latency_axis(axes: Axes, axis: Literal["x", "y"], latencies: Sequence[float]) -> None:
    """Milliseconds from 0, or logarithmic where they are far apart."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = min(latencies), max(latencies)
    if high <= _SPREAD * low or low <= 0:
        axes.set(**{f"{axis}lim": (0.0, 1.1 * high or 1.0)})
        return
    pad = (high / low) ** 0.08
    axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low / pad, high * pad)})
    on = axes.xaxis if axis == "x" else axes.yaxis
    on.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1e3 * low else (1,)))
    on.set_minor_locator(NullLocator())
    on.set_major_formatter("{x:g}")
