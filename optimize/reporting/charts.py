"""The report's charts: F1 against latency step by step, and latency by sequence length."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from matplotlib.axes import Axes

from optimize.evaluation.benchmark import Latency
from optimize.reporting import drawing, labels
from optimize.reporting.drawing import COLOURS, MARKERS, MUTED, Key
from optimize.reporting.report import F1_CHART, LATENCY_CHART, Report

_LONGEST_NAME = 120.0
_LEAST_F1_SPAN = 2.0  # points: what is less shall not look like much


def draw(report: Report) -> dict[str, str]:
    """The charts of what was measured, file name → SVG; the same figures give the same bytes."""
    charts = {}
    if report.shared_length is not None:
        charts[F1_CHART] = _f1_against_latency(report, report.shared_length)
    if any(step.latency for step in report.steps):
        charts[LATENCY_CHART] = _latency_by_length(report)
    return charts


def _f1_against_latency(report: Report, length: int) -> str:
    shown = {
        i: (step.latency[length], step.scores.f1)
        for i, step in enumerate(report.steps)
        if step.scores and length in step.latency
    }
    title = f"F1 against latency at {length} tokens, step by step"
    f1s = [f1 for _, f1 in shown.values()]
    middle = (max(f1s) + min(f1s)) / 2
    half = 0.65 * max(max(f1s) - min(f1s), _LEAST_F1_SPAN)
    said = [f"{_key(report, i).text}: {_ms(x)}, F1 {f1:.2f}" for i, (x, f1) in shown.items()]
    with drawing.canvas(title, _conditions(report, shown), right=22) as (figure, axes):
        axes.set(xlabel="latency (ms, mean ± std), less is better", ylabel="F1, more is better")
        least = min(latency.mean_ms for latency, _ in shown.values())
        most = max(latency.mean_ms + latency.std_ms for latency, _ in shown.values())
        drawing.positive(axes, "x", least, most)
        drawing.linear(axes, "y", middle - half, middle + half, most=100)
        lines = []
        for i, j in _joined(report, shown):
            ends = [(shown[k][0].mean_ms, shown[k][1]) for k in (i, j)]
            dashes = "--" if _rejected(report, j) else "-"
            axes.plot(*zip(*ends, strict=True), dashes, color=MUTED, linewidth=1.2)
            lines.append(ends)
        for i, (latency, f1) in shown.items():
            ends = [(latency.mean_ms + sign * latency.std_ms, f1) for sign in (-1, 1)]
            axes.plot(*zip(*ends, strict=True), "-|", color=_key(report, i).colour, linewidth=0.9)
            lines.append([(max(x, axes.get_xlim()[0]), y) for x, y in ends])
            _mark(axes, report, i, [latency.mean_ms], [f1])
        place = axes.transData.transform
        points = place([(latency.mean_ms, f1) for latency, f1 in shown.values()])
        keys = [_key(report, i) for i in shown]
        labels.beside(figure, axes, keys, points, [place(line) for line in lines])
        return drawing.to_svg(figure, title, "; ".join(said))


def _latency_by_length(report: Report) -> str:
    shown = {i: dict(sorted(s.latency.items())) for i, s in enumerate(report.steps) if s.latency}
    title = "Latency by sequence length, step by step"
    lengths = sorted(set().union(*shown.values()))
    keys = {i: _key(report, i) for i in shown}
    means = [latency.mean_ms for step in shown.values() for latency in step.values()]
    said = [
        f"{keys[i].text}: " + ", ".join(f"{_ms(latency)} at {n}" for n, latency in step.items())
        for i, step in shown.items()
    ]
    right = 36 + max(key.width for key in keys.values())
    with drawing.canvas(title, _conditions(report, shown), right) as (figure, axes):
        axes.set(xlabel="tokens", ylabel="latency (ms, mean), less is better", xscale="log")
        axes.set_xlim(lengths[0] / 1.1, lengths[-1] * 1.1)
        drawing.ticks(axes, "x", _apart(axes, lengths))
        drawing.positive(axes, "y", min(means), max(means))
        ends = []
        for i, step in shown.items():
            y = [latency.mean_ms for latency in step.values()]
            dashes = "--" if _rejected(report, i) else "-"
            axes.plot(list(step), y, dashes, color=keys[i].colour, linewidth=1.4)
            _mark(axes, report, i, list(step), y)
            ends.append((max(step), y[-1]))
        labels.column(figure, axes, list(keys.values()), axes.transData.transform(ends))
        return drawing.to_svg(figure, title, "; ".join(said))


def _joined(report: Report, shown: Collection[int]) -> list[tuple[int, int]]:
    """Which step each one that is shown came from, and itself."""
    pairs, before = [], None
    for i in shown:
        if before is not None:
            pairs.append((before, i))
        if not _rejected(report, i):
            before = i
    return pairs


def _key(report: Report, i: int) -> Key:
    step = report.steps[i]
    fates = {report.served: " (served)"} | dict.fromkeys(report.rejected, " (rejected)")
    name = drawing.fit(step.name, _LONGEST_NAME, bold=True)
    return Key(
        text=f"{i + 1} {name}{fates.get(step.name, '')}",
        colour=COLOURS[i % len(COLOURS)],
        shape=MARKERS[i % len(MARKERS)],
        bold=step.name == report.served,
        hollow=_rejected(report, i),
    )


def _mark(axes: Axes, report: Report, i: int, x: Sequence[float], y: Sequence[float]) -> None:
    key = _key(report, i)
    (line,) = axes.plot(x, y, key.shape, color=key.colour, mfc=key.inside, markersize=6, zorder=3)
    line.set_gid(f"step-{i + 1}")


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


def _apart(axes: Axes, lengths: list[int]) -> list[int]:
    """The lengths whose numbers do not touch when written below the axis, the longest first."""
    kept: list[tuple[float, int]] = []
    for length in reversed(lengths):
        x = axes.transData.transform((length, 1.0))[0]
        room = drawing.text_width(str(lengths[-1])) + 6
        if not kept or kept[-1][0] - x >= room:
            kept.append((x, length))
    return [length for _, length in reversed(kept)]


def _rejected(report: Report, i: int) -> bool:
    return report.steps[i].name in report.rejected


def _ms(latency: Latency) -> str:
    return f"{latency.mean_ms:.4g} ± {latency.std_ms:.2g} ms"
