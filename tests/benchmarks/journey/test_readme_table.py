"""The tables of each step: where they go, what they say, and that failing writes nothing."""

import re
from dataclasses import replace

import pytest

from benchmarks.journey import readme_table as journey_table
from benchmarks.journey.readme_table import SECTION, Accuracy, scored, summary, tables
from benchmarks.section import PAGE
from optimize.data.metrics import Scores
from optimize.evaluation.benchmark import Latency
from optimize.evaluation.paired import Loss
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
LOST = replace(STEPS[1], loss=Loss(3.0, (1.0, 5.0), 200, 90))
STEPS = (STEPS[0], LOST, STEPS[2])
REPORT = Report("qa", 1, "0" * 64, "graph", {"int8": "int8: F1 is too low"}, CONDITIONS, STEPS)


def figures(f1):
    scores = Scores(4339, 47.5, f1, 1.0, 1.0, 1.0, 58.9, -7.0)
    return Accuracy(-6.5, scores, [f1 / 100] * 4)


def test_the_tables_have_the_figures_of_the_other_data_set():
    found = {"baseline": figures(52.11), "int8": figures(49.99), "graph": figures(52.12)}
    report = scored(REPORT, found, "dev.json.gz")
    text = tables(report, "A processor (avx2), 2 CPUs", {F1_CHART: "docs/f1.svg"}, None)
    assert "Measured on 2026-01-02: A processor (avx2), 2 CPUs; 2 threads" in text
    assert "4,339 questions of `dev.json.gz`, each step at the null threshold" in text
    assert "on the articles Huguenot, Yuan dynasty, Islamism, Warsaw" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [row.split(" | ") for row in rows[2:5]]
    assert [row[4] for row in cells] == ["52.11", "49.99", "52.12"]
    assert [row[6] for row in cells] == ["-6.50"] * 3
    assert [row[7] for row in cells] == ["", "+0.00 (+0.00 to +0.00)", ""]
    assert (
        "Not served, for its answers to the demo's questions: int8: F1 is too low.\n\nLatency"
        in text
    )
    assert "| 512 | 40.00 ± 1.00 | 40.00 ± 1.00 | 40.00 ± 1.00 |" in text
    assert "](docs/f1.svg)" in text
    assert "drawn at random" in tables(report, "", {}, 100)


def test_the_summary_has_a_line_for_each_step():
    report = scored(REPORT, dict.fromkeys(("baseline", "int8", "graph"), figures(52.11)), "dev")
    text = summary(report, "docs/f1.svg")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert lines[0][-1] == "× baseline's speed at 512 tokens"
    assert [line[0] for line in lines[2:]] == ["baseline", "int8", "**graph**"]
    assert lines[2][2:] == ["90.0", "52.11", "1.00"]
    assert "](docs/f1.svg)" in text
    assert "](" not in summary(report, None)
    variant = replace(STEPS[1], name="int8-static-embeddings", latency={})
    line = summary(replace(report, steps=(STEPS[0], variant)), None).splitlines()[-1]
    assert line == (
        "| int8-static-embeddings | weights and their products in 8 bits | 90.0 | – | – |"
    )


def test_the_readme_s_figures_are_those_of_the_page():
    def rows(path):
        SECTION.filled(path, "")
        text = path.read_text("utf-8").partition(SECTION.begin)[2].partition("\n\n|")[2]
        lines = text.partition("\n\n")[0].splitlines()[2:]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    short, whole = rows(ROOT / "README.md"), rows(PAGE)
    assert len(short) > 3
    assert [[row[0], *row[2:]] for row in short] == [
        [row[0], row[1], row[4], row[-4]] for row in whole
    ]
    assert re.findall(r"at (\d+) tokens \|", (ROOT / "README.md").read_text("utf-8")) == re.findall(
        r"latency at (\d+) \(ms\) \|", PAGE.read_text("utf-8")
    )


def test_a_data_set_that_cannot_be_read_changes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(journey_table, "_built", lambda *_: REPORT)
    pages = [tmp_path / "README.md", tmp_path / "page.md"]
    before = f"{SECTION.begin}\nold\n{SECTION.end}\n"
    for page in pages:
        page.write_text(before)
    assert run(tmp_path, tmp_path / "none.json") == 1
    assert "none.json: cannot be read" in capsys.readouterr().err
    assert [page.read_text() for page in pages] == [before, before]
    assert not (tmp_path / "charts").exists()


@pytest.mark.parametrize("lacking", ["README.md", "page.md"])
def test_a_page_without_the_markers_is_found_before_anything_is_built(lacking, tmp_path, capsys):
    for name in ("README.md", "page.md"):
        (tmp_path / name).write_text("" if name == lacking else f"{SECTION.begin}{SECTION.end}")
    assert run(tmp_path, tmp_path / "none.json") == 1
    assert f"{lacking} has no <!-- journey-table" in capsys.readouterr().err


def test_both_pages_are_written_from_one_run(tmp_path, monkeypatch):
    found = dict.fromkeys(("baseline", "int8", "graph"), figures(52.11))
    monkeypatch.setattr(journey_table, "_built", lambda *_: REPORT)
    monkeypatch.setattr(journey_table, "_evaluated", lambda *_: found)
    for name in ("README.md", "page.md"):
        (tmp_path / name).write_text(f"{SECTION.begin}\nformer\n{SECTION.end}\n")
    monkeypatch.setattr(journey_table.Questions, "read", lambda *_: None)
    assert run(tmp_path, tmp_path / "dev.json") == 0
    readme, page = ((tmp_path / name).read_text() for name in ("README.md", "page.md"))
    assert "former" not in readme + page
    assert re.findall(r"\]\((.*?)\)", readme) == ["charts/journey-f1.svg"]
    assert re.findall(r"\]\((.*?)\)", page) == [
        "charts/journey-f1.svg",
        "charts/journey-latency.svg",
    ]
    assert "| baseline | the dense checkpoint in PyTorch | 90.0 | 52.11 | 1.00 |" in readme
    assert "`dev.json`" in page
    assert {path.name for path in (tmp_path / "charts").iterdir()} == set(
        journey_table.CHARTS.values()
    )


def run(folder, dataset):
    places = ["--readme", "README.md", "--page", "page.md", "--charts", "charts"]
    places[1::2] = [str(folder / name) for name in places[1::2]]
    return journey_table.main(["--dataset", str(dataset), *places])
