"""The charts of a test."""

from collections.abc import Callable, Sequence

from loadtest.reports.svg import Series, line_chart
from loadtest.results.result import Result, Row, TargetResult

CHARTS = ("latency", "throughput", "soak")
_LATENCY = "latency (ms)"


def charts_of(result: Result) -> dict[str, str]:
    """Name → SVG of each chart that there is something to show in."""
    chart = {"latency-table": _by_length, "throughput": _by_throughput, "soak": _over_time}
    if result.scenario not in chart or not any(_measured(target) for target in result.targets):
        return {}
    return chart[result.scenario](result, f"{result.started}, measured at the client")


def _by_length(result: Result, conditions: str) -> dict[str, str]:
    lines = []
    for target in result.targets:
        rows = sorted(_measured(target), key=lambda row: row.tokens or 0)
        points = [(float(row.tokens or 0), row.client.mean) for row in rows if row.client]
        lines.append(Series(target.name, points))
    heading = "Mean latency by sequence length"
    return {"latency": line_chart(heading, conditions, "tokens", _LATENCY, lines)}


def _by_throughput(result: Result, conditions: str) -> dict[str, str]:
    lines = _p50_and_p99(result.targets, lambda row, _: row.rate)
    heading = "Latency by throughput: p50, and p99 dashed"
    axes = ("answers per second", _LATENCY)
    return {"throughput": line_chart(heading, conditions, *axes, lines, x_linear=True)}


def _over_time(result: Result, conditions: str) -> dict[str, str]:
    lines = _p50_and_p99(result.targets, lambda row, number: row.seconds * (number + 1))
    heading = "Latency over time: p50, and p99 dashed"
    return {"soak": line_chart(heading, conditions, "seconds", _LATENCY, lines, x_linear=True)}


def _p50_and_p99(
    targets: Sequence[TargetResult], place: Callable[[Row, int], float]
) -> list[Series]:
    lines = []
    for target in targets:
        placed = [
            (place(row, number), row.client)
            for number, row in enumerate(_measured(target))
            if row.client
        ]
        lines.append(Series(target.name, [(x, stats.p50) for x, stats in placed]))
        lines.append(Series(target.name, [(x, stats.p99) for x, stats in placed], dashed=True))
    return lines


def _measured(target: TargetResult) -> list[Row]:
    return [row for row in target.rows if row.client]
