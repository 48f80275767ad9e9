"""The charts: well formed, for light and dark, with every series, and only where there is any."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
import resvg_py

from loadtest.reports.charts import CHARTS, charts_of
from loadtest.reports.svg import Series, line_chart
from tests.loadtest.reports.test_report import a_result, a_row, a_table, a_target

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_series_is_named_and_drawn() -> None:
    series = [Series("a & <b>", [(8, 1.0), (512, 80.0)]), Series("c" * 60, [(8, 2.0), (512, 9.0)])]
    svg = line_chart("Heading", "conditions", "tokens", "ms", series)
    found = texts(svg)
    assert {"Heading", "conditions", "tokens", "ms", "a & <b>"} <= set(found)
    assert f"{'c' * 23}…" in found
    root = ElementTree.fromstring(svg)
    lines = [path for path in root.iter(f"{SVG}path") if path.get("fill") == "none"]
    assert len(lines) == 2
    assert "prefers-color-scheme:dark" in svg
    assert root.find(f"{SVG}title") is not None
    assert root.find(f"{SVG}desc") is not None
    # 8 to 512 and 1 to 80 are far apart: logarithmic, with round ticks.
    assert {"10", "20", "50", "100", "200", "500"} <= set(found)
    linear = line_chart("Heading", "conditions", "tokens", "ms", series, x_linear=True)
    assert {"0", "100", "200", "300", "400", "500"} <= set(texts(linear))


@pytest.mark.parametrize(
    "points", [[(0.0, 0.0)], [(1.0, 5.0)], [(1.0, 5.0), (1.0, 5.0)], [(0.0, 3.0), (1e6, 1e-3)]]
)
def test_any_values_can_be_drawn(points: list[tuple[float, float]]) -> None:
    svg = line_chart("a", "b", "x", "y", [Series("s", points), Series("none", [])])
    assert "nan" not in svg
    assert bytes(resvg_py.svg_to_bytes(svg_string=svg)).startswith(b"\x89PNG")


def test_charts_of_scenarios() -> None:
    tables = [a_table("dense", {8: (10.0, 0.5), 128: (90.0, 2.0)}), a_table("fast", {8: (1.0, 0)})]
    assert list(charts_of(a_result(*tables))) == ["latency"]
    steps = a_target("a", [a_row("1 user", 5.0), a_row("2 users", 6.0), a_row("4 users", None)])
    for scenario in ("throughput", "soak"):
        charts = charts_of(a_result(steps, a_target("b", []), scenario=scenario))
        assert list(charts) == [scenario]
        assert scenario in CHARTS
        # p50, and p99 dashed, of the steps that were answered.
        assert charts[scenario].count("stroke-dasharray") == 1
    assert charts_of(a_result(steps, scenario="mixed")) == {}
    nothing = replace(steps, rows=[])
    assert charts_of(a_result(nothing, scenario="throughput")) == {}
