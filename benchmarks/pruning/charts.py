"""The charts of `benchmarks.pruning.table`: F1 against density and against latency, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.pruning.study import DENSE, LENGTH, SHIPPED, WAYS, Figures, lines_of
from optimize.reporting import canvas
from optimize.reporting.canvas import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DENSITY_CHART, LATENCY_CHART = "pruning-density.svg", "pruning-latency.svg"
# Colour and marker of each way.
_LOOKS: dict[str, dict[str, Any]] = {
    way: {"color": COLOURS[i], "marker": MARKERS[i]}
    for i, way in enumerate((DENSE, "recovered", "one-shot", SHIPPED))
}


def draw(figures: Sequence[Figures], conditions: str) -> dict[str, str]:
    """File name → SVG; the same figures give the same bytes, and what cannot be drawn is left out.

    Args:
        figures: Of the dense model and at least one other.
        conditions: What they hold for, in a line.
    """
    return canvas.drawn(
        {
            DENSITY_CHART: partial(
                _chart,
                figures,
                "F1 against density, dense to sparse",
                conditions,
                lambda one: one.density,
                _density_axis,
            ),
            LATENCY_CHART: partial(
                _chart,
                figures,
                f"F1 against latency at {LENGTH} tokens, dense to sparse",
                conditions,
                lambda one: one.latency.p50_ms,
                _latency_axis,
            ),
        }
    )


def _chart(
    figures: Sequence[Figures],
    title: str,
    conditions: str,
    place: Callable[[Figures], float],
    axis: Callable[[Axes, Sequence[float]], None],
) -> str:
    def draw(axes: Axes) -> None:
        axis(axes, [place(one) for one in figures])
        canvas.f1_axis(axes, [_f1(one) for one in figures])
        for way, some in lines_of(figures).items():
            label = f"{way}, to density\n{', '.join(_asked(one) for one in some[1:])}"
            xs, ys = [place(one) for one in some], [_f1(one) for one in some]
            # The line begins at the dense model, which has a mark of its own.
            marked = slice(1, None)
            axes.plot(xs, ys, label=label, gid=way, markevery=marked, **_LOOKS[way])
        for one in figures:
            if one.way not in WAYS:
                axes.plot(
                    place(one), _f1(one), label=one.name, gid=one.way, ls="", **_LOOKS[one.way]
                )

    return canvas.svg(title, [conditions], draw)


def _density_axis(axes: Axes, densities: Sequence[float]) -> None:
    """From dense on the left to sparse."""
    axes.invert_xaxis()
    axes.set_xlabel("density: share of the encoder's linear weights that is left")


def _latency_axis(axes: Axes, latencies: Sequence[float]) -> None:
    canvas.latency_axis(axes, "x", latencies)
    axes.set_xlabel("latency (ms, median), less is better")


def _f1(one: Figures) -> float:
    """At the threshold that was chosen for the model: a fixed one suits some densities better."""
    return one.accuracy.chosen.f1


def _asked(one: Figures) -> str:
    """The density that was asked for: the rest of the model's name."""
    return one.name.removeprefix(one.way).strip()
