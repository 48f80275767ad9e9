"""The tables and the report, the file of figures, and the command that prints tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.__main__ import main
from loadtest.options import SCENARIOS
from loadtest.reports.report import report, summary
from loadtest.reports.tables import joint_table
from loadtest.results.result import Result, Row, TargetResult, read_result, write_result
from loadtest.results.stats import Stats
from tests.loadtest.given import options

Figures = dict[int, tuple[float | None, float | None]]

BASELINE: Figures = {8: (10.0, 0.5), 128: (90.0, 2.25)}
OPTIMIZED: Figures = {8: (4.0, 0.1), 256: (50.0, None)}


def a_row(
    name: str, mean: float | None, std: float | None = None, tokens: int | None = None
) -> Row:
    stats = None if mean is None else Stats(mean, std, mean, mean, mean, mean)
    return Row(name, tokens, 2, 0, 1.0, 2.0, stats, None, {}, 0.0)


def a_target(name: str, rows: list[Row]) -> TargetResult:
    return TargetResult(name, "http://host", "v2", "qa", 4, {}, "", [], [], rows)


def a_result(*targets: TargetResult, scenario: str = "latency-table") -> Result:
    given = options("--requests-per-length", "2", "--warmup", "1")
    return Result(scenario, "2030-01-01", vars(given), {}, [], [], list(targets))


def a_table(name: str, figures: Figures) -> TargetResult:
    rows = [a_row(f"{length} tokens", *each, length) for length, each in figures.items()]
    return a_target(name, rows)


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    write_result(tmp_path / "baseline.json", a_result(a_table("dense", BASELINE)))
    return tmp_path / "baseline.json"


@pytest.fixture
def optimized(tmp_path: Path) -> Path:
    write_result(tmp_path / "optimized.json", a_result(a_table("compact", OPTIMIZED)))
    return tmp_path / "optimized.json"


METHOD = """\
Model qa at http://host, 2030-01-01: 2 sequential random requests per sequence length and target, \
after 1 of warm-up."""

GOLDEN = f"""\
## dense

{METHOD}

| sequence length | mean ms | std ms |
| --------------: | ------: | -----: |
|               8 |   10.00 |   0.50 |
|             128 |   90.00 |   2.25 |

## compact

{METHOD}

| sequence length | mean ms | std ms |
| --------------: | ------: | -----: |
|               8 |    4.00 |   0.10 |
|             256 |   50.00 |      – |

## Side by side

| sequence length | dense mean ms | compact mean ± std ms | compact speed-up |
| --------------: | ------------: | --------------------: | ---------------: |
|               8 |         10.00 |           4.00 ± 0.10 |            2.50× |
|             128 |         90.00 |                     – |                – |
|             256 |             – |             50.00 ± – |                – |
"""


def test_golden(baseline: Path, optimized: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(baseline), str(optimized)]) == 0
    assert capsys.readouterr() == (GOLDEN, "")


def test_targets_of_one_file_are_compared_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = a_result(a_table("dense", BASELINE), a_table("compact", OPTIMIZED))
    write_result(tmp_path / "both.json", both)
    assert main(["table", str(tmp_path / "both.json")]) == 0
    in_turns = METHOD.replace("warm-up.", "warm-up; the targets take turns request by request.")
    assert capsys.readouterr() == (GOLDEN.replace(METHOD, in_turns), "")


def test_output_file(baseline: Path, optimized: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = baseline.parent / "new" / "tables.md"
    assert main(["table", str(baseline), str(optimized), "--output", str(output)]) == 0
    assert output.read_text(encoding="utf-8") == GOLDEN
    assert capsys.readouterr() == (GOLDEN, "")


def test_one_target_has_no_comparison(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(baseline)]) == 0
    assert capsys.readouterr().out == GOLDEN.split("\n## compact")[0]


def test_the_report_has_the_guide_s_tables() -> None:
    server = Stats(3.0, 0.5, 3.0, 4.0, 5.0, 5.0)
    slow, fast = a_table("dense", BASELINE), a_table("compact", OPTIMIZED)
    row = replace(fast.rows[0], server=server, stages_ms={"run": 2.5})
    fast = replace(fast, rows=[row], notes=["It returns no token counts."])
    result = a_result(slow, fast)
    text = report(replace(result, overhead={"v2": server}), Path("latency.svg"))
    tables = text.split("\n\n")
    assert tables[tables.index("## dense") + 1] == GOLDEN.split("\n\n")[2]
    assert "| sequence length | dense mean ms | compact mean ms | speed-up |" in text
    assert "|               8 |         10.00 |            4.00 |    2.50× |" in text
    assert "|               8 |    3.00 |   0.50 |   3.00 |   4.00 |   5.00 |   2.50 |" in text
    assert "![latency](latency.svg)" in text
    assert "- compact: It returns no token counts." in text
    assert "## What the client itself costs" in text
    assert "**Passed.**" in text


@pytest.mark.parametrize(("median", "explained"), [(0.99, False), (1.0, True)])
def test_a_client_that_costs_much_is_explained(median: float, explained: bool) -> None:
    costs = {"v2": Stats(median, 0.1, median, 2.0, 2.0, 2.0), "v1": Stats(0.1, 0, 0.1, 1, 1, 1)}
    text = report(replace(a_result(a_table("a", BASELINE)), overhead=costs))
    assert ("Over v2 its median is not below 1 ms" in text) == explained


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_a_report(scenario: str) -> None:
    rows = [a_row("1 user", 5.0), a_row("spike", None)]
    result = a_result(a_target("a", rows), a_target("b", []), scenario=scenario)
    result = replace(result, faults=["stopped early"], broken=["a: too slow"])
    text = report(result)
    assert "**Failed:**\n\n- stopped early\n- a: too slow" in text
    assert "{" not in text
    assert "5.00" in text
    assert "1 user" in summary(result)


def test_speed_ups_of_several_over_the_first() -> None:
    means = {"a": 30.0, "b": 10.0, "c": 60.0}
    targets = [a_table(name, {16: (mean, 0.0)}) for name, mean in means.items()]
    last_line = joint_table(targets).splitlines()[-1]
    assert [cell.strip() for cell in last_line.strip("|").split("|")] == [
        "16", "30.00", "10.00 ± 0.00", "3.00×", "60.00 ± 0.00", "0.50×",
    ]  # fmt: skip


def test_targets_of_one_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        write_result(path, a_result(a_table("same", BASELINE)))
    assert main(["table", *map(str, paths)]) == 0
    printed = capsys.readouterr().out
    assert all(f"## same ({path.stem})\n" in printed for path in paths)


def test_failures_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = replace(a_result(a_table("dense", BASELINE)), broken=["dense: too slow"])
    write_result(tmp_path / "a.json", failed)
    assert main(["table", str(tmp_path / "a.json")]) == 0
    assert "**This run failed.** dense: too slow\n" in capsys.readouterr().out


def test_result_file_round_trip(baseline: Path) -> None:
    assert read_result(baseline) == a_result(a_table("dense", BASELINE))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("{", "is not JSON"),
        ("[]", "is not a result of schema 2"),
        ('{"schema": 1}', "is not a result of schema 2 (its schema: 1)"),
        ('{"schema": 2}', "is not a whole result: 'targets' is missing"),
        (json.dumps({"schema": 2, "targets": [], "overhead": {}}), "is not a whole result"),
        (json.dumps({"schema": 2, "targets": [{"rows": [1]}]}), "is not a whole result"),
        ("\udcff", "is not JSON"),
    ],
)
def test_bad_file(
    baseline: Path, text: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = baseline.parent / "bad.json"
    if text is not None:
        bad.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert main(["table", str(baseline), str(bad)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("loadtest: ")
    assert message in err
    assert err.count("\n") == 1


def test_unwritable_output(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(baseline), "--output", str(baseline.parent)]) == 1
    assert "loadtest: cannot write" in capsys.readouterr().err


def test_compare_needs_targets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOADTEST_TARGETS", raising=False)
    assert main(["compare"]) == 2
    assert "needs --targets" in capsys.readouterr().err
