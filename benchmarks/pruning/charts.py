"""The charts of `benchmarks.pruning.table`: F1 against density and against latency, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes

from benchmarks.pruning.study import DENSE, LENGTH, SHIPPED, Figures, lines_of
from optimize.reporting import drawing, labels
from optimize.reporting.drawing import COLOURS, MARKERS, Key

DENSITY_CHART, LATENCY_CHART = "pruning-density.svg", "pruning-latency.svg"
_LEAST_F1_SPAN = 2.0  # points: what is less shall not look like much
# Colour and shape of each way.
_LOOKS = {
    way: (COLOURS[i], MARKERS[i]) for i, way in enumerate((DENSE, "recovered", "one-shot", SHIPPED))
}


def draw(figures: Sequence[Figures], conditions: str) -> dict[str, str]:
    """File name → SVG; the same figures give the same bytes.

    Args:
        figures: Of the dense model and at least one other.
        conditions: What they hold for, in a line.
    """
    return {
        DENSITY_CHART: _chart(
            figures,
            "F1 against density, dense to sparse",
            conditions,
            "density: share of the linear weights that is left",
            lambda one: one.density,
            _density_axis,
        ),
        LATENCY_CHART: _chart(
            figures,
            f"F1 against latency at {LENGTH} tokens, dense to sparse",
            conditions,
            "latency (ms, median), less is better",
            lambda one: one.latency.p50_ms,
            _latency_axis,
        ),
    }


def _chart(
    figures: Sequence[Figures],
    title: str,
    conditions: str,
    xlabel: str,
    place: Callable[[Figures], float],
    axis: Callable[[Axes, Sequence[float]], None],
) -> str:
    f1s = [_f1(one) for one in figures]
    middle = (max(f1s) + min(f1s)) / 2
    half = 0.65 * max(max(f1s) - min(f1s), _LEAST_F1_SPAN)
    said = [f"{one.name}: {place(one):.3g}, F1 {_f1(one):.2f}" for one in figures]
    with drawing.canvas(title, [conditions], right=22) as (figure, axes):
        axes.set(xlabel=xlabel, ylabel="F1, more is better")
        axis(axes, [place(one) for one in figures])
        drawing.linear(axes, "y", middle - half, middle + half, most=100)
        lines = []
        for way, some in lines_of(figures).items():
            colour, _ = _LOOKS[way]
            ends = [(place(one), _f1(one)) for one in some]
            (line,) = axes.plot(*zip(*ends, strict=True), "-", color=colour, linewidth=1.4)
            line.set_gid(f"line-{way}")
            lines.append(axes.transData.transform(ends))
        keys = [_key(one) for one in figures]
        for one, key in zip(figures, keys, strict=True):
            (mark,) = axes.plot(
                [place(one)], [_f1(one)], key.shape, color=key.colour, markersize=6, zorder=3
            )
            mark.set_gid(f"model-{one.name.replace(' ', '-')}")
        points = axes.transData.transform([(place(one), _f1(one)) for one in figures])
        labels.beside(figure, axes, keys, points, lines)
        return drawing.to_svg(figure, title, "; ".join(said))


def _density_axis(axes: Axes, densities: Sequence[float]) -> None:
    """From dense on the left to sparse."""
    pad = 0.12 * (max(densities) - min(densities))
    drawing.linear(axes, "x", min(densities) - pad, max(densities) + pad, most=1)
    axes.invert_xaxis()


def _latency_axis(axes: Axes, latencies: Sequence[float]) -> None:
    drawing.positive(axes, "x", min(latencies), max(latencies))


def _f1(one: Figures) -> float:
    """At the threshold that was chosen for the model: a fixed one suits some densities better."""
    return one.accuracy.chosen.f1


def _key(one: Figures) -> Key:
    colour, shape = _LOOKS[one.way]
    return Key(text=one.name, colour=colour, shape=shape, bold=one.way == SHIPPED)
