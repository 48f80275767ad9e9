"""The charts: every series, the same bytes again, only where there is any; none is worth a test."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import resvg_py

from loadtest.reports.charts import CHARTS, chart_of
from loadtest.reports.output import Output
from loadtest.results.result import Result, TargetResult
from tests.loadtest.given import options
from tests.loadtest.qa_server import ROOT
from tests.loadtest.reports.test_report import a_result, a_row, a_table, a_target


def drawn(result: Result) -> str:
    """A result's chart, which can be rendered."""
    chart = chart_of(result)
    assert chart
    assert chart[0] in CHARTS
    assert bytes(resvg_py.svg_to_bytes(svg_string=chart[1], dpi=96)).startswith(b"\x89PNG")
    return chart[1]


def texts(svg: str) -> list[str]:
    """What is written in a chart: its outlines are commented with it."""
    return re.findall(r"<!-- (.*?) -->", svg)


def dashed(svg: str) -> int:
    """Lines of the series that are dashed."""
    return len(re.findall(r'<path d="M[^>]*stroke-dasharray', svg))


def table_of(*names: str) -> Result:
    return a_result(*(a_table(name, {8: (1.0, 0.5), 512: (80.0, 2.0)}) for name in names))


def test_every_target_is_named_and_what_is_far_apart_logarithmic() -> None:
    svg = drawn(table_of("a & <b>", "_c", "$d$", "e" * 60))
    found = texts(svg)
    assert {"_c", "$d$", f"{'e' * 39}…"} <= set(found)
    assert {"Mean latency by sequence length", "2030-01-01, measured at the client"} <= set(found)
    assert {"sequence length (tokens)", "latency (ms), less is better"} <= set(found)
    assert {"8", "16", "32", "64", "128", "256", "512", "1", "2", "5", "10", "20", "50"} <= set(
        found
    )
    assert any("b" in text and "amp" in text for text in found)


def test_the_background_is_opaque_and_the_bytes_are_the_same() -> None:
    result = table_of("dense", "compact")
    svg = drawn(result)
    program = (
        "import sys; from loadtest.reports.charts import chart_of; "
        "from tests.loadtest.reports.test_charts import table_of; "
        "sys.stdout.write(chart_of(table_of('dense', 'compact'))[1])"
    )
    command = [sys.executable, "-c", program]
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert again.stdout == svg
    assert re.search(r'<g id="patch_1">\s*<path d="[^"]*" style="fill: #ffffff"/>', svg)


def steps(*means: float | None) -> TargetResult:
    return a_target("a", [replace(a_row(f"{n}", mean), rate=n) for n, mean in enumerate(means, 1)])


@pytest.mark.parametrize("scenario", ["throughput", "soak"])
def test_p50_and_p99_of_the_rows_that_were_answered(scenario: str) -> None:
    svg = drawn(a_result(steps(5.0, None, 6.0), a_target("b", []), scenario=scenario))
    assert dashed(svg) == 1
    assert {"a", "b"} <= set(texts(svg))
    # The third row stands where it was, whatever came of the second.
    assert "3.0" in texts(svg)


@pytest.mark.parametrize("mean", [0.0, 1e-3, 5.0, 1e6])
@pytest.mark.parametrize("other", [0.0, 7.0])
def test_any_values_can_be_drawn(mean: float, other: float) -> None:
    assert "nan" not in drawn(a_result(steps(mean, other), scenario="soak"))
    assert "nan" not in drawn(a_result(a_table("a", {8: (mean, None), 9: (other, None)})))


def test_there_is_none_of_nothing() -> None:
    assert chart_of(a_result(steps(5.0), scenario="mixed")) is None
    assert chart_of(a_result(steps(None), scenario="soak")) is None
    assert chart_of(a_result(a_target("a", []), scenario="throughput")) is None


def test_a_chart_that_fails_is_a_warning_and_not_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    output = Output(options("--results-dir", str(tmp_path)))
    # As where matplotlib is not installed.
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with caplog.at_level(logging.WARNING):
        output.write(table_of("dense"))
    (record,) = caplog.records
    assert record.getMessage().startswith("The chart latency cannot be drawn: ")
    assert not (tmp_path / "latency.svg").exists()
    report = (tmp_path / "report.md").read_text("utf-8")
    assert "## dense" in report
    assert "latency.svg" not in report
