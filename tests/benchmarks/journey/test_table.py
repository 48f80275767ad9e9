"""The README's tables: where they go, what they say, and that failing writes nothing."""

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.journey import table as journey_table
from benchmarks.journey.table import SECTION, scored, tables
from optimize.evaluation.benchmark import Latency
from optimize.reporting.report import F1_CHART, Report, StepFigures
from tests.conftest import ROOT

LATENCY = {8: Latency(2.0, 0.1, 2.0, 2.2), 512: Latency(40.0, 1.0, 40.0, 42.0)}
STEPS = tuple(
    StepFigures(name, "fp32", 90_000_000, 1.0, None, None, LATENCY, {})
    for name in ("baseline", "int8", "graph")
)
CONDITIONS = {
    "date": "2026-01-02",
    "dataset": "questions.json",
    "questions": 200,
    "null_score_diff_threshold": -4.0,
    "threads": 2,
    "rounds": 30,
}
REPORT = Report("qa", 1, "0" * 64, "graph", {"int8": "int8: F1 is too low"}, CONDITIONS, STEPS)


def figures(f1):
    known = {"questions": 6078, "exact_match": 47.5, "f1": f1, "f1_interval": 1.0}
    known |= {"has_answer_f1": 1.0, "no_answer_f1": 1.0, "best_f1": 58.9, "best_f1_threshold": 0}
    return known


def test_the_tables_have_the_figures_of_the_other_data_set():
    found = {"baseline": figures(52.11), "int8": figures(49.99), "graph": figures(52.12)}
    report = scored(REPORT, found, "dev.json.gz")
    text = tables(report, "A processor (avx2), 2 CPUs", {F1_CHART: "docs/f1.svg"}, None)
    assert "Measured on 2026-01-02: A processor (avx2), 2 CPUs; 2 threads" in text
    assert "6,078 questions of `dev.json.gz`, at the served" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [row.split(" | ")[4] for row in rows[2:5]] == ["52.11", "49.99", "52.12"]
    assert (
        "Not served, for its answers to the demo's questions: int8: F1 is too low.\n\nLatency"
        in text
    )
    assert "| 512 | 40.00 ± 1.00 | 40.00 ± 1.00 | 40.00 ± 1.00 |" in text
    assert "](docs/f1.svg)" in text
    assert "drawn at random" in tables(report, "", {}, 100)


def test_only_what_is_between_the_markers_changes():
    begin, end = SECTION.begin, SECTION.end
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    new = SECTION.between(text, "new")
    assert new == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    assert SECTION.between(new, "new") == new
    with pytest.raises(BenchmarkError):
        SECTION.between("no markers", "new")


def test_the_readme_has_the_markers():
    SECTION.between((ROOT / "README.md").read_text("utf-8"), "")


def test_a_data_set_that_cannot_be_read_changes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(journey_table, "_built", lambda *_: REPORT)
    readme = tmp_path / "README.md"
    before = f"{SECTION.begin}\nold\n{SECTION.end}\n"
    readme.write_text(before)
    arguments = ["--dataset", str(tmp_path / "none.json"), "--readme", str(readme)]
    assert journey_table.main([*arguments, "--charts", str(tmp_path / "charts")]) == 1
    assert "evaluate ended with status" in capsys.readouterr().err
    assert readme.read_text() == before
    assert not (tmp_path / "charts").exists()
