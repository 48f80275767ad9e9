"""The guide's tables as they are written, and that failing writes nothing."""

import json

import pytest

from benchmarks.section import PAGE
from benchmarks.tables import __main__ as tables
from benchmarks.tables.__main__ import SECTION
from benchmarks.tables.text import Measured, page, summary
from loadtest.results.result import Result, Row, TargetResult, write_result
from loadtest.results.stats import Stats

OPTIONS = {"requests_per_length": 50, "warmup": 3, "pause": 0.02}
MEANS = {
    "baseline": {8: 10.0, 512: 100.0},
    "fastapi-optimum": {8: 8.0, 512: 80.0},
    "optimized": {8: 5.0, 512: 40.0},
    "triton (python backend)": {8: 6.0, 512: 50.0},
    "io-binding": {8: 4.0, 512: 25.0},
}


def target(name, means):
    rows = [
        Row(f"{n} tokens", n, 50, 0, 1.0, 1.0, Stats(ms, ms / 10, ms, ms, ms, ms), None, {}, 0.0)
        for n, ms in means.items()
    ]
    return TargetResult(name, "http://h", "v2", "qa", 100, {}, "", [f"note of {name}"], [], rows)


def result(names=tuple(MEANS)):
    targets = [target(name, MEANS[name]) for name in names]
    overhead = {"v2": Stats(0.2, 0.1, 0.15, 0.3, 0.4, 0.5)}
    started = "2026-01-02T03:04:05+00:00"
    return Result("latency-table", started, OPTIONS, overhead, [], [], targets)


def measured(names=tuple(MEANS), name=""):
    left_out = {"mlserver": "it is not installed"}
    model, baseline = "demo/checkpoint/pruned", "demo/checkpoint/baseline"
    return Measured(result(names), left_out, name, "make tables", model, baseline, "A CPU", 0.1)


def test_the_page_has_the_guide_s_tables():
    text = page(measured(), "tables.svg")
    assert "Measured on 2026-01-02: A CPU; " in text
    assert "50 sequential random requests per sequence length and deployment after 3" in text
    guide, _, others = text.partition("## Speed-up over baseline")
    order = [guide.index(f"**{name}**: ") for name in MEANS if name != "fastapi-optimum"]
    assert order == sorted(order)
    assert "fastapi-optimum" not in guide.split("## The guide's tables")[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()
            if line.startswith("| ")]  # fmt: skip
    assert ["512", "100.00", "10.00"] in rows
    assert ["8", "10.00", "6.00", "1.67×"] in rows
    assert ["512", "100.00", "25.00", "4.00×"] in rows
    assert ["512", "100.00", "80.00 ± 8.00", "1.25×", "25.00 ± 2.50", "4.00×"] in rows
    assert ["v2", "0.20", "0.10", "0.15", "0.30", "0.40"] in rows
    assert "- triton (python backend): note of triton (python backend)" in others
    assert "- mlserver is left out: it is not installed" in others


def test_the_page_of_fewer_deployments():
    text = page(measured(("baseline", "io-binding"), "mine"), "tables-mine.svg")
    assert text.startswith("# Latency by sequence length: mine\n")
    assert "What else one could run" not in text
    assert "**optimized**" not in text


def test_the_summary():
    text = summary(measured(), "docs/tables.svg", "docs/tables.md")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0][:3] == ["tokens", "baseline, ms", "fastapi-optimum, ms"]
    assert cells[3] == ["512", "100.00", "80.00 (1.2 ×)", "40.00 (2.5 ×)", "50.00 (2.0 ×)",
                        "25.00 (4.0 ×)"]  # fmt: skip
    assert "](docs/tables.svg)" in text
    assert "](docs/tables.md)" in text
    assert "Left out, mlserver: it is not installed." in text


def test_the_page_of_summaries_has_the_markers():
    SECTION.filled(PAGE, "")


@pytest.fixture
def summaries(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"{SECTION.begin}\nold\n{SECTION.end}\n")
    return path


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BUILD", tmp_path / "build")
    return tmp_path / "build"


def run(summaries, tmp_path, *options):
    return tables.main(["--page", str(summaries), "--output", str(tmp_path / "docs"), *options])


@pytest.mark.parametrize("options", [[], ["--model", "mine"]])
def test_what_is_written_where(options, summaries, build, tmp_path, monkeypatch):
    def measure(_, model, baseline, results):
        write_result(results / "summary.json", result())
        (results / "deployments.json").write_text(json.dumps({"left_out": {}}))

    monkeypatch.setattr(tables, "_local", measure)
    assert run(summaries, tmp_path, *options) == 0
    name = "tables-mine" if options else "tables"
    written = {path.name for path in (tmp_path / "docs").iterdir()}
    assert written == {f"{name}.md", f"{name}.svg"}
    text = (tmp_path / "docs" / f"{name}.md").read_text()
    assert f"]({name}.svg)" in text
    assert f"`{' '.join(['make tables', *(['MODEL=mine'] if options else [])])}`: every" in text
    # Another model is not what the summary shows.
    assert ("old" in summaries.read_text()) == bool(options)
    assert ("](docs/tables.svg)" in summaries.read_text()) != bool(options)


@pytest.mark.parametrize("broken", ["markers", "model"])
def test_what_cannot_be_measured_changes_nothing(broken, summaries, build, tmp_path, capfd):
    if broken == "markers":
        summaries.write_text("no markers")
    before = summaries.read_text()
    assert run(summaries, tmp_path, "--model", str(tmp_path / "none")) == 1
    error = capfd.readouterr().err.splitlines()
    said = {"markers": "has no <!-- tables", "model": "loadtest local ended with status 2"}
    assert said[broken] in error[-1]
    assert summaries.read_text() == before
    assert not (tmp_path / "docs").exists()
