"""The page that `make bench-engine` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from benchmarks.engine.figures import DENSE, LENGTHS, ByLength, Traffic
from benchmarks.report import as_markdown
from benchmarks.rounds import Figure
from loadtest.reports.tables import markdown_table


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        conditions: When, where, by which command, of what; one line each.
        versions: Package → version.
        left_out: System → why it was not measured.
        seconds: At fixed lengths.
        traffic: With real lengths.
        figures: All, with their bounds.
        profile: Where the time goes, one line a system; empty where no bound was missed.
    """

    conditions: Sequence[str]
    versions: Mapping[str, str]
    left_out: Mapping[str, str]
    seconds: ByLength
    traffic: Traffic
    figures: Sequence[Figure]
    profile: Sequence[str]


def page(measured: Measured) -> str:
    """The page, as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(measured.versions.items()))
    parts = [
        "# Our engine beside its rivals on a CPU",
        "\n".join(f"{line}  " for line in [*measured.conditions, versions]).rstrip(),
        "The whole method is in the head of "
        "[benchmarks/engine/\\_\\_main\\_\\_.py](../../benchmarks/engine/__main__.py).",
        *(f"Left out, {name}: {reason}." for name, reason in measured.left_out.items()),
        "## Bounds",
        as_markdown(measured.figures).strip(),
        "## Fixed lengths",
        _fixed(measured.seconds),
        f"Median ms a run; in brackets × over {DENSE}.",
        "## Real lengths",
        _traffic(measured.traffic),
        "Mean ms a question, from its text to the answer's; cold is the first pass over the "
        "questions, warm the second. The last column is the share of the questions that are "
        "answered as by our fp32 graph.",
    ]
    if measured.profile:
        parts += ["## Where the time goes", "\n".join(measured.profile)]
    return "\n\n".join(parts) + "\n"


def _fixed(seconds: ByLength) -> str:
    rows = []
    for name in dict.fromkeys(name for name, _ in seconds):
        cells = []
        for length in LENGTHS:
            own, dense = median(seconds[name, length]), median(seconds[DENSE, length])
            cells.append(f"{1e3 * own:.1f} ({dense / own:.1f})")
        rows.append([name, *cells])
    return markdown_table(["system", *(f"{length} tokens" for length in LENGTHS)], rows)


def _traffic(traffic: Traffic) -> str:
    rows = [
        [
            name,
            f"{1e3 * fmean(traffic.cold[name]):.1f}",
            f"{1e3 * fmean(warm):.1f}",
            f"{100 * traffic.same(name):.1f} %",
        ]
        for name, warm in traffic.warm.items()
    ]
    return markdown_table(["system", "cold, ms", "warm, ms", "same answer"], rows)
