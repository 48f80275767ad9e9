"""Markdown tables of results, aligned so that a terminal shows them well too."""

from collections.abc import Sequence

from loadtest.results.result import Row, TargetResult
from loadtest.results.stats import Stats

NOTHING = "–"
LENGTH = "sequence length"
STATS = ("mean ms", "std ms", "p50 ms", "p95 ms", "p99 ms")


def target_table(target: TargetResult) -> str:
    """Mean and standard deviation per sequence length, as in the guide."""
    rows = [[_length(row), *stats_cells(row.client)[:2]] for row in target.rows]
    return markdown_table([LENGTH, *STATS[:2]], rows)


def latency_table(target: TargetResult) -> str:
    """All figures at the client, per sequence length."""
    rows = [
        [_length(row), str(row.requests - row.failed), *stats_cells(row.client)]
        for row in target.rows
    ]
    return markdown_table([LENGTH, "answered", *STATS], rows)


def server_table(target: TargetResult, first: str = LENGTH) -> str:
    """The server's own time and its stages per row; empty where the server tells none."""
    stages = list(dict.fromkeys(stage for row in target.rows for stage in row.stages_ms))
    if not stages:
        return ""
    rows = [
        [
            _length(row),
            *stats_cells(row.server),
            *(_ms(row.stages_ms.get(stage)) for stage in stages),
        ]
        for row in target.rows
    ]
    return markdown_table([first, *STATS, *(f"{stage} ms" for stage in stages)], rows)


def load_table(target: TargetResult) -> str:
    """What was asked, what came, and the latencies, per row of a test under load."""
    header = [
        "load",
        "requests",
        "failed",
        "answers/s",
        *STATS,
        "sent late p99 ms",
        "server p50 ms",
    ]
    rows = [
        [
            row.name,
            str(row.requests),
            str(row.failed),
            f"{row.rate:.2f}",
            *stats_cells(row.client),
            _ms(row.late_p99),
            _ms(row.server.p50 if row.server else None),
        ]
        for row in target.rows
    ]
    return markdown_table(header, rows)


def pair_table(baseline: TargetResult, other: TargetResult) -> str:
    """Mean latencies of two targets and the speed-up of the second, as in the guide."""
    rows = []
    for name in _names([baseline, other]):
        reference, mean = _mean(baseline, name), _mean(other, name)
        rows.append([_short(name), _ms(reference), _ms(mean), _speed_up(reference, mean)])
    header = [LENGTH, f"{baseline.name} mean ms", f"{other.name} mean ms", "speed-up"]
    return markdown_table(header, rows)


def joint_table(targets: Sequence[TargetResult], first: str = LENGTH) -> str:
    """All targets side by side, each but the first with its speed-up over the first."""
    baseline, *others = targets
    header = [first, f"{baseline.name} mean ms"]
    for other in others:
        header += [f"{other.name} mean ± std ms", f"{other.name} speed-up"]
    rows = []
    for name in _names(targets):
        reference = _mean(baseline, name)
        cells = [_short(name), _ms(reference)]
        for other in others:
            row = other.row(name)
            stats = row.client if row else None
            shown = f"{_ms(stats.mean)} ± {_ms(stats.std)}" if stats else NOTHING
            cells += [shown, _speed_up(reference, stats.mean if stats else None)]
        rows.append(cells)
    return markdown_table(header, rows)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with every column aligned to the right; no final newline."""
    lines = [[cell(text) for text in line] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * (width - 1) + ":" for width in widths]
    return "\n".join(
        "| "
        + " | ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def cell(text: str) -> str:
    """A text that does not end its cell, nor its line."""
    return " ".join(text.split()).replace("|", "\\|")


def stats_cells(stats: Stats | None) -> list[str]:
    """Mean, deviation and percentiles in milliseconds, under the names of STATS."""
    if stats is None:
        return [NOTHING] * len(STATS)
    return [_ms(value) for value in (stats.mean, stats.std, stats.p50, stats.p95, stats.p99)]


def _names(targets: Sequence[TargetResult]) -> list[str]:
    """The rows of all targets; sequence lengths by size, others in the order of the test."""
    rows = {row.name: row.tokens for target in targets for row in target.rows}
    if None in rows.values():
        return list(rows)
    return sorted(rows, key=lambda name: rows[name] or 0)


def _length(row: Row) -> str:
    return row.name if row.tokens is None else str(row.tokens)


def _short(name: str) -> str:
    return name.removesuffix(" tokens")


def _ms(milliseconds: float | None) -> str:
    return NOTHING if milliseconds is None else f"{milliseconds:.2f}"


def _mean(target: TargetResult, name: str) -> float | None:
    row = target.row(name)
    return row.client.mean if row and row.client else None


def _speed_up(reference: float | None, mean: float | None) -> str:
    if reference is None or not mean:
        return NOTHING
    return f"{reference / mean:.2f}×"
