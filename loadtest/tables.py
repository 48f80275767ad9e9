"""Markdown tables of one or more results, aligned so that a terminal shows them well too."""

from collections.abc import Sequence

from loadtest.results import Result

NOTHING = "–"


def run_table(result: Result) -> str:
    """Everything measured per sequence length; the server's run stage where it is known."""
    run_known = any("run" in row.server_ms for row in result.rows)
    header = ["sequence length", "requests", "mean ms", "std ms", "p50 ms", "p99 ms"]
    rows = []
    for row in result.rows:
        figures = [row.mean_ms, row.std_ms, row.p50_ms, row.p99_ms]
        if run_known:
            figures.append(row.server_ms.get("run"))
        rows.append([str(row.sequence_length), str(row.requests), *map(_ms, figures)])
    return markdown_table([*header, "server run ms"] if run_known else header, rows)


def target_table(result: Result) -> str:
    """Mean and standard deviation per sequence length of one target."""
    return markdown_table(
        ["sequence length", "mean ms", "std ms"],
        [[str(row.sequence_length), _ms(row.mean_ms), _ms(row.std_ms)] for row in result.rows],
    )


def joint_table(results: Sequence[Result], names: Sequence[str]) -> str:
    """All targets side by side, each but the first with its speed-up over the first."""
    baseline, *others = results
    header = ["sequence length", f"{names[0]} mean ms"]
    for name in names[1:]:
        header += [f"{name} mean ± std ms", f"{name} speed-up"]
    lengths = sorted({row.sequence_length for result in results for row in result.rows})
    rows = []
    for length in lengths:
        reference = _mean(baseline, length)
        cells = [str(length), _ms(reference)]
        for other in others:
            cells += [_mean_and_std(other, length), _speed_up(reference, _mean(other, length))]
        rows.append(cells)
    return markdown_table(header, rows)


def report(results: Sequence[Result], names: Sequence[str]) -> str:
    """The tables of every target and, for two or more, the joint one; failures are named."""
    parts = []
    for result, name in zip(results, names, strict=True):
        parts.append(f"## {name}")
        parts.append(
            f"Model {result.model} at {result.host}, {result.started}: "
            f"{result.requests_per_length} sequential requests per sequence length "
            f"after {result.warmup} of warm-up."
        )
        if result.failures:
            parts.append(f"**This run failed.** First failure: {result.failures[0]}")
        parts.append(target_table(result))
    if len(results) > 1:
        parts.append("## Side by side")
        parts.append(joint_table(results, names))
    return "\n\n".join(parts) + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with every column aligned to the right; no final newline."""
    lines = [[_cell(text) for text in line] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * (width - 1) + ":" for width in widths]
    return "\n".join(
        "| "
        + " | ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _ms(milliseconds: float | None) -> str:
    return NOTHING if milliseconds is None else f"{milliseconds:.2f}"


def _mean(result: Result, length: int) -> float | None:
    row = result.row(length)
    return None if row is None else row.mean_ms


def _mean_and_std(result: Result, length: int) -> str:
    row = result.row(length)
    if row is None or row.mean_ms is None:
        return NOTHING
    return f"{_ms(row.mean_ms)} ± {_ms(row.std_ms)}"


def _speed_up(reference: float | None, mean: float | None) -> str:
    if reference is None or not mean:
        return NOTHING
    return f"{reference / mean:.2f}×"
