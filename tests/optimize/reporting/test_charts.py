"""The report's charts, rendered: no label clipped or over another, legible in the dark."""

import io
import itertools
import os
import pickle
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import resvg_py
from PIL import Image

from optimize.data.squad import Scores
from optimize.evaluation.benchmark import Latency
from optimize.reporting import charts, drawing, labels
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
    "equal": report(
        *(step(n, linear(50 + i / 1e3), 52.11 + i / 1e4) for i, n in enumerate(NAMES)),
        rejected=["fp16", "int8"],
    ),
    "close": report(*(step(n, linear(50 + i), 52 + i / 20) for i, n in enumerate(NAMES))),
    "long names": report(
        *(
            step(f"{'a very long name of ' * 9}{n}", linear(50 + i), 60)
            for i, n in enumerate(NAMES)
        ),
        name="q" * 300,
    ),
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


def dark(svg):
    found = re.sub(
        r"@media screen and \(prefers-color-scheme:dark\)\{(.*)\}</style>", r"\1</style>", svg
    )
    assert found != svg
    return found


def pixels(svg):
    png = resvg_py.svg_to_bytes(svg_string=svg, dpi=72, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def alone(svg, pattern):
    """An image, wider than the chart by a margin, of each group whose id matches."""
    root = ElementTree.fromstring(svg)
    width, height = (float(x) + 2 * MARGIN for x in root.get("viewBox").split()[2:])
    shapes = {shape.get("id"): shape for shape in root.findall(".//{*}defs/{*}path")}
    common = [*root.findall("{*}style"), *root.findall(".//{*}clipPath")]
    for group in root.iter():
        if re.fullmatch(pattern, group.get("id", "")):
            size = {"width": f"{width}pt", "height": f"{height}pt"}
            view = f"{-MARGIN} {-MARGIN} {width} {height}"
            document = ElementTree.Element(root.tag, size, viewBox=view)
            document.extend(common)
            used = {use.get(HREF)[1:] for use in group.findall(".//{*}use")}
            defs = ElementTree.SubElement(document, root.tag.replace("svg}svg", "svg}defs"))
            defs.extend(shapes[name] for name in sorted(used))
            document.append(group)
            yield pixels(ElementTree.tostring(document, encoding="unicode"))


def boxes(svg, pattern):
    return [image.getchannel("A").getbbox() for image in alone(svg, pattern)]


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize(("name", "chart"), CHARTS)
def test_no_label_is_clipped_or_over_another_one_or_over_a_point(drawn, name, chart):
    svg = drawn[name][chart]
    texts = boxes(svg, r"text_\d+")
    width, height = pixels(svg).size
    assert len(texts) >= 5 + len(boxes(svg, r"step-\d+"))
    for left, top, right, bottom in texts:
        assert left >= MARGIN + 2
        assert top >= MARGIN + 2
        assert right <= MARGIN + width - 2
        assert bottom <= MARGIN + height - 2
    assert not [pair for pair in itertools.combinations(texts, 2) if overlap(*pair)]
    if chart == F1_CHART:
        points = boxes(svg, r"step-\d+")
        assert not [pair for pair in itertools.product(texts, points) if overlap(*pair)]


@pytest.mark.parametrize("chart", [F1_CHART, LATENCY_CHART])
def test_every_text_is_bright_in_the_dark_and_dark_in_print(drawn, chart):
    svg = drawn["usual"][chart]
    assert pixels(svg).getpixel((1, 1)) == (255, 255, 255, 255)
    assert max(pixels(dark(svg)).getpixel((1, 1))[:3]) < 40
    for scheme, ground in zip((svg, dark(svg)), drawing.THEME["background"], strict=True):
        for image in alone(scheme, r"text_\d+"):
            found = np.asarray(image).reshape(-1, 4)
            fullest = found[np.argmax(found[:, 3])]
            assert fullest[3] > 128
            assert contrast(fullest[:3].tolist(), rgb(ground)) >= 4.5


def luminance(colour):
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(a, b):
    light, dim = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dim + 0.05)


def rgb(colour):
    return tuple(bytes.fromhex(colour[1:]))


@pytest.mark.parametrize("ground", drawing.THEME["background"])
def test_every_step_shows_on_both_backgrounds(ground):
    assert all(contrast(rgb(colour), rgb(ground)) >= 3 for colour in drawing.COLOURS)


def test_all_colours_are_known_and_nothing_comes_from_outside(drawn):
    for svg in itertools.chain.from_iterable(found.values() for found in drawn.values()):
        used = set(re.findall(r'(?:fill|stroke)(?:: |=")(#\w+)', svg))
        assert used <= {light for light, _ in drawing.THEME.values()} | set(drawing.COLOURS)
        assert not re.search(r"font-family|<image|<script|<text|url\((?!#)", svg)
        assert set(re.findall(r'href="(.)', svg)) == {"#"}
        assert len(svg) < 150_000


def test_a_chart_says_its_figures(drawn):
    root = ElementTree.fromstring(drawn["usual"][F1_CHART])
    assert root.get("aria-labelledby") == "title desc"
    title, text = (root.find(f"{{*}}{tag}").text for tag in ("title", "desc"))
    assert title == "F1 against latency at 512 tokens, step by step"
    assert "6 int8 (rejected): 27.2 ± 3 ms, F1 51.93" in text
    assert "7 int8-asymmetric (served): 35.73 ± 3 ms, F1 52.01" in text
    text = ElementTree.fromstring(drawn["usual"][LATENCY_CHART]).find("{*}desc").text
    assert "2 pruned: 1.282 ± 3 ms at 8, " in text


def test_a_label_is_nearest_to_its_own_point():
    milliseconds, f1 = (155.8, 137.1, 206.3, 185.9, 86.6), (57.6, 57.6, 57.6, 57.6, 57.2)
    noisy = report(
        *(step(n, linear(x), y) for n, x, y in zip(NAMES, milliseconds, f1, strict=False))
    )
    svg = charts.draw(noisy)[F1_CHART]
    points, names = boxes(svg, r"step-\d+"), boxes(svg, r"text_\d+")[-len(f1) :]
    for i, (left, top, right, bottom) in enumerate(names):
        middles = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in points]
        gaps = [
            np.hypot(x - np.clip(x, left, right), y - np.clip(y, top, bottom)) for x, y in middles
        ]
        assert gaps.pop(i) + 3 < min(gaps)


def test_a_rejected_step_is_hollow_and_joined_by_a_dashed_line(drawn):
    root = ElementTree.fromstring(drawn["usual"][F1_CHART])
    fills = {
        group.get("id"): {use.get("fill") or use.get("style") for use in group.findall(".//{*}use")}
        for group in root.iter()
        if group.get("id", "").startswith("step-")
    }
    assert {name for name, fill in fills.items() if fill == {"#ffffff"}} == {"step-5", "step-6"}
    assert drawn["usual"][F1_CHART].count("stroke-dasharray") == 2


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


def test_a_step_that_was_not_measured_is_left_out(drawn):
    svg = drawn["missing"][F1_CHART]
    assert len(boxes(svg, r"step-\d+")) == 5
    assert "onnx" not in ElementTree.fromstring(svg).find("{*}desc").text
    whole = [step for step in REPORTS["missing"].steps if step.scores and step.latency]
    without = charts.draw(report(*whole))[F1_CHART]
    assert len(boxes(svg, r"text_\d+")) == 1 + len(boxes(without, r"text_\d+"))


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
    text = found.to_markdown()
    assert set(charts.draw(found)) == set(re.findall(r"!\[.*?\]\((.*?)\)", text)) == expected
    assert (F1_CHART in expected) != ("No chart of F1 against latency" in text)
    assert (LATENCY_CHART in expected) != ("Latency was not measured" in text)


def test_labels_of_a_column_keep_apart_and_within():
    heights = labels.spread([50, 50, 50, 51, 0, 99], 0, 100)
    assert all(abs(a - b) >= drawing.LINE - 1e-9 for a, b in itertools.combinations(heights, 2))
    assert min(heights) >= 0
    assert max(heights) <= 100
    assert heights[3] > heights[0] > heights[1] > heights[2]
