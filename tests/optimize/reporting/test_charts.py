"""The report's charts, rendered: nothing clipped or over something else, on white."""

import io
import itertools
import math
import os
import pickle
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
import resvg_py
from PIL import Image

from optimize.data.metrics import Scores
from optimize.evaluation.benchmark import Latency
from optimize.reporting import charts
from optimize.reporting.report import F1_CHART, LATENCY_CHART, Report, StepFigures

NAMES = ("baseline", "pruned", "onnx", "graph", "fp16", "int8", "int8-asymmetric")
LENGTHS = (8, 16, 32, 64, 128, 256, 384, 512)
MARGIN = 100
HREF = "{http://www.w3.org/1999/xlink}href"


def step(name, latencies, f1, std=1.0):
    scores = None if f1 is None else Scores(200, 50.0, f1, 5.0, 1.0, 1.0, f1, 0.0)
    latency = {n: Latency(mean, std, mean, 1.1 * mean) for n, mean in latencies.items()}
    return StepFigures(name, "fp32", 90_000_000, 1.0, None, scores, latency, {})


def report(*steps, rejected=(), name="qa"):
    conditions = {
        "dataset": "d.json",
        "questions": 6078,
        "provider": "CPUExecutionProvider",
        "threads": 2,
        "rounds": 30,
    }
    refused = dict.fromkeys(rejected, "F1 fell")
    return Report(name, 1, "b" * 64, steps[-1].name, refused, conditions, steps)


def linear(at_512):
    return {n: at_512 * n / 512 for n in LENGTHS}


def crowd(seed=3):
    """As many steps as a build has whose int8 variants all fail the last gate, scattered."""
    draw = random.Random(seed)
    names = [*NAMES[:4], *(f"int8-asymmetric-embeddings-fast-gelu-{i}" for i in range(4, 16))]
    steps = [step(name, linear(draw.uniform(20, 150)), draw.uniform(40, 60)) for name in names]
    return replace(report(*steps, rejected=names[4:]), served="graph")


REPORTS = {
    "usual": report(
        *(
            step(name, linear(ms), f1, std=3.0)
            for name, ms, f1 in zip(
                NAMES,
                (82.56, 82.02, 45.36, 44.19, 30.0, 27.2, 35.73),
                (52.11, 52.11, 52.11, 52.11, 52.1, 51.93, 52.01),
                strict=True,
            )
        ),
        rejected=["fp16", "int8"],
    ),
    "one": report(step("baseline", {384: 80.0}, 60.0)),
    "crowd": crowd(),
    "long name": report(step("baseline", linear(9), 60.0), name="q-" * 120),
    "wide": report(
        *(
            step(name, linear(5000 / 4.64**i), f1)
            for i, (name, f1) in enumerate(zip(NAMES, (0, 100, 50, 75, 100, 3, 99), strict=True))
        ),
        rejected=["int8"],
    ),
    "missing": report(
        *(
            step(name, linear(40 - i) if i != 2 else {}, None if i == 4 else 60.0 + i)
            for i, name in enumerate(NAMES)
        )
    ),
    "no time": report(step("baseline", linear(0.0), 0.0, 0.0), step("onnx", linear(0.0), 0.0, 0.0)),
    "lengths": report(
        step("baseline", {n: n / 9 for n in range(1, 513)}, 100.0), step("onnx", {512: 3.0}, 100.0)
    ),
}
CHARTS = [(name, chart) for name in REPORTS for chart in (F1_CHART, LATENCY_CHART)]


@pytest.fixture(scope="module")
def drawn():
    return {name: charts.draw(report) for name, report in REPORTS.items()}


def pixels(svg):
    png = resvg_py.svg_to_bytes(svg_string=svg, dpi=72, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def boxes(svg, pattern):
    """Where each group whose id matches is, with a margin on every side of the chart."""
    root = ElementTree.fromstring(svg)
    width, height = (float(x) + 2 * MARGIN for x in root.get("viewBox").split()[2:])
    found = []
    for group in root.iter():
        if re.fullmatch(pattern, group.get("id", "")):
            size = {"width": f"{width}pt", "height": f"{height}pt"}
            view = f"{-MARGIN} {-MARGIN} {width} {height}"
            document = ElementTree.Element(root.tag, size, viewBox=view)
            document.extend(root.findall(".//{*}defs"))
            document.append(group)
            image = pixels(ElementTree.tostring(document, encoding="unicode"))
            found.append(image.getchannel("A").getbbox())
    return found


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize(("name", "chart"), CHARTS)
def test_no_text_is_clipped_or_over_another_one(drawn, name, chart):
    svg = drawn[name][chart]
    width, height = pixels(svg).size
    texts = boxes(svg, r"text_\d+")
    shown = sum(bool(step.latency) for step in REPORTS[name].steps)
    if chart == F1_CHART:
        shown = sum(bool(step.latency and step.scores) for step in REPORTS[name].steps)
    # A headline, the conditions, two axes and a tick of each.
    assert len(texts) >= 6 + shown
    for left, top, right, bottom in texts:
        assert left >= MARGIN + 2
        assert top >= MARGIN + 2
        assert right <= MARGIN + width - 2
        assert bottom <= MARGIN + height - 2
    assert not [pair for pair in itertools.combinations(texts, 2) if overlap(*pair)]
    (legend,) = boxes(svg, r"legend_\d+")
    assert legend[0] >= max(right for _, _, right, _ in boxes(svg, r"patch_2"))


def test_a_chart_is_on_white_and_nothing_comes_from_outside(drawn):
    for svg in itertools.chain.from_iterable(found.values() for found in drawn.values()):
        assert pixels(svg).getpixel((1, 1)) == (255, 255, 255, 255)
        assert not re.search(r"font-family|<image|<script|<text|url\((?!#)", svg)
        assert set(re.findall(r'href="(.)', svg)) == {"#"}


def test_every_step_has_a_look_of_its_own():
    looks = [charts._look(REPORTS["crowd"], i) for i in range(16)]
    assert len({(look["color"], look["marker"]) for look in looks}) == 16
    assert {look["label"].partition(" (")[2] for look in looks} == {"rejected)", "served)", ""}
    hollow = [look["label"] for look in looks if look["markerfacecolor"] == "white"]
    assert hollow == [look["label"] for look in looks if "(rejected)" in look["label"]]


def test_a_rejected_step_is_joined_by_a_dashed_line(drawn):
    dashed = {name: svg.count("stroke-dasharray") for name, svg in drawn["usual"].items()}
    # The legend shows the lines of the latter.
    assert dashed == {F1_CHART: 2, LATENCY_CHART: 4}


def test_a_step_that_was_not_measured_is_left_out(drawn):
    svg = drawn["missing"][F1_CHART]
    whole = [step for step in REPORTS["missing"].steps if step.scores and step.latency]
    without = charts.draw(report(*whole))[F1_CHART]
    assert len(boxes(svg, r"text_\d+")) == len(boxes(without, r"text_\d+"))
    assert svg.count("<use") < drawn["usual"][F1_CHART].count("<use")


def test_the_same_figures_give_the_same_bytes_whatever_the_settings(drawn, tmp_path):
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 30\naxes.facecolor: red\nsvg.fonttype: none\n"
    )
    code = (
        "import pickle, sys; from optimize.reporting import charts;"
        "sys.stdout.buffer.write(pickle.dumps(charts.draw(pickle.load(sys.stdin.buffer))))"
    )
    again = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(REPORTS["usual"]),
        env=os.environ
        | {"MATPLOTLIBRC": str(tmp_path), "PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert pickle.loads(again.stdout) == drawn["usual"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step("baseline", linear(9), 60.0)], {F1_CHART, LATENCY_CHART}),
        ([step("baseline", linear(9), None)], {LATENCY_CHART}),
        ([step("baseline", {}, 60.0)], set()),
        ([step("baseline", {8: 1.0}, 60.0), step("onnx", {9: 1.0}, 60.0)], {LATENCY_CHART}),
    ],
)
def test_the_report_embeds_the_charts_there_are(steps, expected):
    found = report(*steps)
    drawn = charts.draw(found)
    text = found.to_markdown(drawn)
    assert set(drawn) == set(re.findall(r"!\[.*?\]\((.*?)\)", text)) == expected
    assert (F1_CHART in expected) != ("No chart of F1 against latency" in text)
    assert (LATENCY_CHART in expected) != ("Latency was not measured" in text)
    assert "![" not in found.to_markdown()


def test_a_chart_that_cannot_be_drawn_is_a_warning(caplog):
    endless = report(step("baseline", linear(9), 60.0), step("onnx", linear(9), math.inf))
    assert set(charts.draw(endless)) == {LATENCY_CHART}
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert warning.getMessage().startswith("report-f1.svg is left out, it cannot be drawn: ")
