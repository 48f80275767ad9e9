"""The report's charts: F1 against latency step by step, and latency by sequence length."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from optimize.reporting import canvas
from optimize.reporting.canvas import COLOURS, MARKERS, MUTED
from optimize.reporting.report import F1_CHART, LATENCY_CHART, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(report: Report) -> dict[str, str]:
    """The charts of what was measured, file name → SVG; the same figures give the same bytes.

    One that cannot be drawn is a warning, and left out.
    """
    charts = {}
    if report.shared_length is not None:
        charts[F1_CHART] = partial(_f1_against_latency, report, report.shared_length)
    if any(step.latency for step in report.steps):
        charts[LATENCY_CHART] = partial(_latency_by_length, report)
    return canvas.drawn(charts)


def _f1_against_latency(report: Report, length: int) -> str:
    shown = {
        i: (step.latency[length], step.scores.f1)
        for i, step in enumerate(report.steps)
        if step.scores and length in step.latency
    }

    def draw(axes: Axes) -> None:
        ends = [
            latency.mean_ms + sign * latency.std_ms
            for latency, _ in shown.values()
            for sign in (0, 1)
        ]
        canvas.latency_axis(axes, "x", ends)
        axes.set_xlabel("latency (ms, mean ± standard deviation), less is better")
        canvas.f1_axis(axes, [f1 for _, f1 in shown.values()])
        for i, j in _joined(report, shown):
            ways = [(shown[k][0].mean_ms, shown[k][1]) for k in (i, j)]
            axes.plot(*zip(*ways, strict=True), _dashes(report, j), color=MUTED, linewidth=1)
        for i, (latency, f1) in shown.items():
            look = _look(report, i)
            axes.errorbar(latency.mean_ms, f1, xerr=latency.std_ms, capsize=3, ls="", **look)

    title = f"F1 against latency at {length} tokens, step by step"
    return canvas.svg(title, _conditions(report, shown), draw)


def _latency_by_length(report: Report) -> str:
    shown = {i: dict(sorted(s.latency.items())) for i, s in enumerate(report.steps) if s.latency}

    def draw(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("sequence length (tokens)")
        means = [latency.mean_ms for step in shown.values() for latency in step.values()]
        canvas.latency_axis(axes, "y", means)
        axes.set_ylabel("latency (ms, mean), less is better")
        for i, step in shown.items():
            means = [latency.mean_ms for latency in step.values()]
            axes.plot(list(step), means, ls=_dashes(report, i), **_look(report, i))

    title = "Latency by sequence length, step by step"
    return canvas.svg(title, _conditions(report, shown), draw)


def _joined(report: Report, shown: Collection[int]) -> list[tuple[int, int]]:
    """Which step each one that is shown came from, and itself."""
    pairs, before = [], None
    for i in shown:
        if before is not None:
            pairs.append((before, i))
        if not _rejected(report, i):
            before = i
    return pairs


def _look(report: Report, i: int) -> dict[str, Any]:
    """How a step is drawn, and what the legend says of it; hollow where it was rejected."""
    name, colour = report.steps[i].name, COLOURS[i % len(COLOURS)]
    fates = {report.served: " (served)"} | dict.fromkeys(report.rejected, " (rejected)")
    return {
        "label": f"{i + 1} {name}{fates.get(name, '')}",
        "color": colour,
        "marker": MARKERS[i % len(MARKERS)],
        "markerfacecolor": "white" if _rejected(report, i) else colour,
    }


def _dashes(report: Report, i: int) -> str:
    return "--" if _rejected(report, i) else "-"


def _conditions(report: Report, shown: Collection[int]) -> list[str]:
    """What the figures hold for, and which steps are left out."""
    known = report.conditions
    parts = [f"{report.name} version {report.version}", *report.latency_conditions()]
    if known.get("questions"):
        parts.append(f"{known['questions']} questions")
    lines = [", ".join(parts)]
    if absent := [step.name for i, step in enumerate(report.steps) if i not in shown]:
        lines.append(f"not measured: {', '.join(absent)}")
    return lines


def _rejected(report: Report, i: int) -> bool:
    return report.steps[i].name in report.rejected
