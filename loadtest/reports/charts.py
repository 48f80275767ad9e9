"""The chart of a test; matplotlib is imported only to draw it, when nothing is measured."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loadtest.results.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

# Shapes tell them apart without colour; as their numbers share no factor, 35 pairs differ.
_COLOURS = ("#6e7781", "#0072b2", "#d55e00", "#00875f", "#b3589a", "#9a6a00", "#7a5fd0")
_MARKERS = ("o", "s", "^", "D", "v")
_INCHES = (9.0, 5.0)
_LEFT = 0.015
_NAME = 40  # letters of a target's name that there is room for
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
    # The same figures give the same bytes.
    "svg.hashsalt": "chart",
    "text.parse_math": False,
}


@dataclass(frozen=True)
class _Kind:
    """What a scenario's chart shows.

    Attributes:
        name: Its file's.
        title: Its headline.
        across: What its first axis is.
        place: Where on that axis a target's row is, by the row and its number.
        lines: Figure of the latencies → how its line is drawn.
        doubling: Whether values on the first axis double, rather than grow evenly.
    """

    name: str
    title: str
    across: str
    place: Callable[[Row, int], float]
    lines: dict[str, str]
    doubling: bool = False


_BOTH = {"p50": "-", "p99": "--"}
_KINDS = {
    "latency-table": _Kind(
        "latency",
        "Mean latency by sequence length",
        "sequence length (tokens)",
        lambda row, _: float(row.tokens or 0),
        {"mean": "-"},
        doubling=True,
    ),
    "throughput": _Kind(
        "throughput",
        "Latency by throughput: p50, and p99 dashed",
        "answers per second",
        lambda row, _: row.rate,
        _BOTH,
    ),
    "soak": _Kind(
        "soak",
        "Latency over time: p50, and p99 dashed",
        "seconds",
        lambda row, number: row.seconds * (number + 1),
        _BOTH,
    ),
}
CHARTS = tuple(kind.name for kind in _KINDS.values())


def chart_of(result: Result) -> tuple[str, str] | None:
    """Name and SVG of a test's chart, text as outlines, on white.

    None where there is nothing to show in one, and where it cannot be drawn, which is a warning.
    """
    kind = _KINDS.get(result.scenario)
    if kind is None or not any(row.client for target in result.targets for row in target.rows):
        return None
    try:
        return kind.name, _svg(kind, result)
    except Exception as error:  # whatever drawing raises: the figures are there without it
        logger.warning("The chart %s cannot be drawn: %s", kind.name, str(error) or repr(error))
        return None


def _svg(kind: _Kind, result: Result) -> str:
    # What it says of its own caches is not the test's.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib import style
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with style.context(["default", _STYLE]):
        figure = Figure(_INCHES, layout="constrained")
        figure.suptitle(kind.title, x=_LEFT, ha="left")
        figure.supxlabel(f"{result.started}, measured at the client", x=_LEFT, ha="left")
        axes = figure.add_subplot(xlabel=kind.across, ylabel="latency (ms), less is better")
        _draw(axes, kind, result)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing | {"Title": kind.title})
    return file.getvalue().decode()


def _draw(axes: Axes, kind: _Kind, result: Result) -> None:
    handles, names, across, latencies = [], [], [], []
    for number, target in enumerate(result.targets):
        rows = sorted(target.rows, key=lambda row: row.tokens or 0)
        placed = [(kind.place(row, i), row.client) for i, row in enumerate(rows) if row.client]
        places = [place for place, _ in placed]
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        for figure, dashes in kind.lines.items():
            values = [getattr(stats, figure) for _, stats in placed]
            lines = axes.plot(places, values, ls=dashes, color=colour, marker=marker)
            handles += lines if dashes == "-" else []
            latencies += values
        across += places
        name = target.name
        names.append(name if len(name) <= _NAME else f"{name[: _NAME - 1]}…")
    _scale(axes, "x", across, base=2 if kind.doubling else None)
    _scale(axes, "y", latencies, base=10)
    axes.legend(handles, names, loc="upper left", bbox_to_anchor=(1, 1))


def _scale(axes: Axes, axis: Literal["x", "y"], values: Sequence[float], base: int | None) -> None:
    """From 0, or logarithmic to a base where values are far apart."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = min(values), max(values)
    if base is None or low <= 0 or high < _SPREAD * low:
        axes.set(**{f"{axis}lim": (0.0, 1.08 * high or 1.0)})
        return
    pad = (high / low) ** 0.06
    axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low / pad, high * pad)})
    on = axes.xaxis if axis == "x" else axes.yaxis
    between = (1, 2, 5) if base == 10 and high < 1e3 * low else (1,)
    on.set_major_locator(LogLocator(base, between))
    on.set_minor_locator(NullLocator())
    on.set_major_formatter("{x:g}")
