"""The tables, and the command that prints them."""

import json
from pathlib import Path

import pytest

from loadtest.__main__ import main
from loadtest.results import Result, Row, read_result, write_result
from loadtest.tables import joint_table, run_table

Figures = dict[int, tuple[float | None, float | None]]

BASELINE: Figures = {8: (10.0, 0.5), 128: (90.0, 2.25)}
OPTIMIZED: Figures = {8: (4.0, 0.1), 256: (50.0, None)}


def a_result(target: str, figures: Figures, failures: tuple[str, ...] = ()) -> Result:
    rows = [
        Row(
            sequence_length=length,
            requests=2,
            failures=0,
            mean_ms=mean_ms,
            std_ms=std_ms,
            p50_ms=mean_ms,
            p99_ms=mean_ms,
            server_ms={},
            latencies_ms=[],
        )
        for length, (mean_ms, std_ms) in figures.items()
    ]
    return Result(target, "http://host", "qa", "2030-01-01", 2, 1, 0, rows, list(failures))


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    write_result(tmp_path / "baseline.json", a_result("dense", BASELINE))
    return tmp_path / "baseline.json"


@pytest.fixture
def optimized(tmp_path: Path) -> Path:
    write_result(tmp_path / "optimized.json", a_result("compact", OPTIMIZED))
    return tmp_path / "optimized.json"


GOLDEN = """\
## dense

Model qa at http://host, 2030-01-01: 2 sequential requests per sequence length after 1 of warm-up.

| sequence length | mean ms | std ms |
| --------------: | ------: | -----: |
|               8 |   10.00 |   0.50 |
|             128 |   90.00 |   2.25 |

## compact

Model qa at http://host, 2030-01-01: 2 sequential requests per sequence length after 1 of warm-up.

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


def test_output_file(baseline: Path, optimized: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = baseline.parent / "new" / "tables.md"
    assert main(["table", str(baseline), str(optimized), "--output", str(output)]) == 0
    assert output.read_text(encoding="utf-8") == GOLDEN
    assert capsys.readouterr() == (GOLDEN, "")


def test_one_file_has_no_comparison(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(baseline)]) == 0
    assert capsys.readouterr().out == GOLDEN.split("\n## compact")[0]


def test_speed_ups_of_several_over_the_first() -> None:
    names = ["a", "b", "c"]
    results = [
        a_result(name, {16: (mean_ms, 0.0)})
        for name, mean_ms in zip(names, (30.0, 10.0, 60.0), strict=True)
    ]
    last_line = joint_table(results, names).splitlines()[-1]
    assert [cell.strip() for cell in last_line.strip("|").split("|")] == [
        "16", "30.00", "10.00 ± 0.00", "3.00×", "60.00 ± 0.00", "0.50×",
    ]  # fmt: skip


def test_targets_of_one_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        write_result(path, a_result("same", BASELINE))
    assert main(["table", *map(str, paths)]) == 0
    printed = capsys.readouterr().out
    assert all(f"## same ({path.stem})\n" in printed for path in paths)


def test_failures_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(tmp_path / "a.json", a_result("dense", BASELINE, ("seq 8: HTTP 500: no",)))
    assert main(["table", str(tmp_path / "a.json")]) == 0
    assert "First failure: seq 8: HTTP 500: no\n" in capsys.readouterr().out


def test_run_table_has_the_server_time_only_where_it_is_known() -> None:
    plain = a_result("a", {8: (10.0, 1.0)})
    assert "server" not in run_table(plain)
    row = Row(8, 1, 2, 10.0, None, 10.0, 10.0, {"run": 7.5, "tokenize": 1.0}, [10.0])
    table = run_table(Result("a", "h", "qa", "", 3, 0, 0, [row], []))
    header, _, line = table.splitlines()
    assert header.endswith("| server run ms |")
    assert [cell.strip() for cell in line.strip("|").split("|")][-1] == "7.50"


def test_result_file_round_trip(baseline: Path) -> None:
    assert read_result(baseline) == a_result("dense", BASELINE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("{", "is not JSON"),
        ("[]", "is not a result of schema 1"),
        ('{"schema": 2}', "is not a result of schema 1 (its schema: 2)"),
        ('{"schema": 1}', "is not a whole result: 'target' is missing"),
        (json.dumps({"schema": 1, "target": "a", "host": "h"}), "'model' is missing"),
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
