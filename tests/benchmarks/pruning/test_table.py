"""The table of F1 against density: its figures, its charts, and what it refuses."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from benchmarks.articles import Questions
from benchmarks.errors import BenchmarkError
from benchmarks.pruning import charts as pruning_charts
from benchmarks.pruning import study as pruning_study
from benchmarks.pruning import table as pruning_table
from benchmarks.pruning.charts import DENSITY_CHART, LATENCY_CHART
from benchmarks.pruning.study import Accuracy, Figures, found
from benchmarks.pruning.table import SECTION, Conditions, content
from benchmarks.section import PAGE
from optimize.data.metrics import Scores
from optimize.evaluation.benchmark import Latency
from tests.conftest import ROOT

QUESTIONS = ROOT / "demo" / "data" / "questions.json"


def scores(f1, best):
    return Scores(
        questions=4000, exact_match=f1 - 4, f1=f1, f1_interval=1.0, has_answer_f1=1.0,
        no_answer_f1=1.0, best_f1=best, best_f1_threshold=-3.0,
    )  # fmt: skip


def one(name, density, f1, ms):
    accuracy = Accuracy(-5.5, scores(f1 + 5, f1 + 6))
    size = round(40e6 + 50e6 * density)
    return Figures(name.split()[0], name, density, size, accuracy, Latency(ms + 1, 0.5, ms, ms + 2))


FIGURES = [
    one("dense", 1.0, 52.11, 60.0),
    one("one-shot 0.75", 0.751, 50.0, 48.0),
    one("one-shot 0.25", 0.249, 30.0, 20.0),
    one("recovered 0.5", 0.5, 51.0, 30.0),
    one("shipped", 0.35, 50.5, 24.0),
]
CONDITIONS = Conditions(
    date="2026-01-02",
    machine="A processor (avx2), 2 CPUs",
    threads=2,
    rounds=30,
    dataset="dev.json.gz",
    questions=4339,
    threshold_questions=1739,
    threshold_articles=["Yuan_dynasty", "Warsaw"],
    sample=False,
    absent=["one-shot 0.5", "recovered 0.25"],
)


def test_every_model_has_its_losses_and_its_speed_up():
    text = content(FIGURES, CONDITIONS, {DENSITY_CHART: "docs/a.svg", LATENCY_CHART: "docs/b.svg"})
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    head, _, dense, _, sparse, recovered, shipped = rows
    assert len({len(row) for row in rows}) == 1
    assert dense[:6] == ["dense", "1.00", "90.0", "-5.50", "53.11 / 57.11", ""]
    assert dense[-1] == "1.00"
    assert sparse[3:8] == ["-5.50", "31.00 / 35.00", "22.11", "36.00", "22.11"]
    assert recovered[-3:] == ["30.00", "31.00 ± 0.50", "2.00"]
    assert shipped[0] == "**shipped**"
    assert head[3:5] == ["threshold", "EM / F1"]
    assert "Measured on 2026-01-02: A processor (avx2), 2 CPUs; 2 threads" in text
    assert "4,339 questions of `dev.json.gz`, at the" in text
    assert "on 1,739 others (articles Yuan dynasty, Warsaw)" in text
    assert "](docs/a.svg)" in text
    assert "](docs/b.svg)" in text


def test_what_is_not_measured_is_said():
    text = content(FIGURES, CONDITIONS, {})
    assert "Not in the study, and so not measured: one-shot 0.5, recovered 0.25." in text
    assert "Not in the study" not in content(FIGURES, replace(CONDITIONS, absent=[]), {})
    assert "drawn at random" in content(FIGURES, replace(CONDITIONS, sample=True), {})
    assert "drawn at random" not in text


def places(svg, way):
    """Where a way's marks are, and where its line leads: x and y, in order."""
    (group,) = ElementTree.fromstring(svg).findall(f".//*[@id='{way}']")
    marks = [(float(use.get("x")), float(use.get("y"))) for use in group.findall(".//{*}use")]
    line = group.find("{*}path")
    numbers = [] if line is None else re.findall(r"[ML] (\S+) (\S+)", line.get("d"))
    return marks, [(float(x), float(y)) for x, y in numbers]


def test_a_line_for_each_way_leads_from_dense_to_sparse():
    drawn = pruning_charts.draw(FIGURES, "conditions")
    assert drawn == pruning_charts.draw(FIGURES, "conditions")
    for name, towards in ((DENSITY_CHART, 1), (LATENCY_CHART, -1)):
        dense, _ = places(drawn[name], "dense")
        for way, count in (("one-shot", 2), ("recovered", 1)):
            marks, line = places(drawn[name], way)
            assert line == [pytest.approx(point, abs=1e-3) for point in dense + marks]
            assert sorted(line, key=lambda point: towards * point[0]) == line
            assert len(marks) == count
        assert [len(found) for found in places(drawn[name], "shipped")] == [1, 0]


def test_a_way_without_models_has_no_line():
    drawn = pruning_charts.draw([FIGURES[0], FIGURES[3], FIGURES[4]], "conditions")
    assert 'id="recovered"' in drawn[DENSITY_CHART]
    assert 'id="one-shot"' not in drawn[DENSITY_CHART]


def test_models_of_a_study_are_found_by_their_folders(tmp_path):
    for folder in ("one-shot/0.75", "one-shot/0.25", "recovered/0.5", "recovered/other"):
        (tmp_path / folder).mkdir(parents=True)
    models, absent = found(tmp_path)
    assert [model.name for model in models] == [
        "dense", "one-shot 0.75", "one-shot 0.25", "recovered 0.5", "shipped",
    ]  # fmt: skip
    assert models[0].folder == ROOT / "demo" / "checkpoint" / "baseline"
    assert models[-1].folder == ROOT / "demo" / "checkpoint" / "pruned"
    assert absent == [
        "one-shot 0.7", "one-shot 0.5", "one-shot 0.35", "recovered 0.75", "recovered 0.35",
        "recovered 0.25",
    ]  # fmt: skip
    with pytest.raises(BenchmarkError, match="has no folder one-shot/0.75"):
        found(tmp_path / "recovered")


def test_no_figure_is_of_an_article_that_a_threshold_was_chosen_on():
    titles = ["The Night Sky", "Sports Desk"]
    questions = Questions.read(QUESTIONS, titles, None)
    assert {example.title for example in questions.threshold} == set(titles)
    assert not {example.title for example in questions.measured} & set(titles)
    assert len(questions.threshold) + len(questions.measured) == 200
    few = Questions.read(QUESTIONS, titles, 7)
    assert (len(few.threshold), len(few.measured)) == (7, 7)
    with pytest.raises(BenchmarkError, match=r"questions.json: has no article Nowhere$"):
        Questions.read(QUESTIONS, [*titles, "Nowhere"], None)
    every = sorted({e.title for e in (*questions.threshold, *questions.measured)})
    with pytest.raises(BenchmarkError, match="no article is left"):
        Questions.read(QUESTIONS, every, None)


def test_the_page_has_the_markers():
    SECTION.filled(PAGE, "")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("dataset", "none.json: cannot be read"),
        ("study", "has no folder one-shot/0.75"),
        ("articles", "questions.json: has no article Huguenot, Islamism, Warsaw, Yuan_dynasty"),
        ("model", "the artifact is damaged"),
    ],
)
def test_what_cannot_be_measured_changes_nothing(
    broken, said, tmp_path, make_artifact, capsys, monkeypatch
):
    artifact = make_artifact()
    (artifact / "model.onnx").write_bytes(b"other bytes")
    monkeypatch.setattr(pruning_study, "BASELINE", artifact)
    (tmp_path / "study" / "one-shot" / "0.5").mkdir(parents=True)
    page = tmp_path / "page.md"
    page.write_text(f"{SECTION.begin}\nold\n{SECTION.end}\n")
    dataset = tmp_path / "none.json" if broken == "dataset" else QUESTIONS
    study = tmp_path / "no-study" if broken == "study" else tmp_path / "study"
    arguments = ["--dataset", str(dataset), "--study", str(study), "--page", str(page)]
    if broken != "articles":
        arguments += ["--threshold-articles", "The Night Sky"]
    assert pruning_table.main([*arguments, "--charts", str(tmp_path / "charts")]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert page.read_text() == f"{SECTION.begin}\nold\n{SECTION.end}\n"
    assert not (tmp_path / "charts").exists()
