"""The journey as it is drawn from reports."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.page import charts, journey
from demo.page.describing import Description


def step(name, f1=50.0, latency=None, **changes):
    return {
        "name": name,
        "size_bytes": 90_000_000,
        "density": 1.0,
        "scores": None if f1 is None else {"f1": f1},
        "latency": {"8": {"mean_ms": 4.0}, "512": {"mean_ms": 90.0}}
        if latency is None
        else latency,
    } | changes


def report(*steps, **changes):
    conditions = {"questions": 200, "dataset": "questions.json", "threads": 2, "date": "2026-01-02"}
    whole = {"name": "qa", "version": 1, "served": "int8", "rejected": {"int8-static": "why"}}
    return whole | {"steps": list(steps), "conditions": conditions} | changes


def described(given_report, build="1"):
    return Description("ONNX Runtime", "1", build, report=given_report)


FAST = {"8": {"mean_ms": 2.0}, "512": {"mean_ms": 30.0}}
WHOLE = report(step("baseline"), step("int8-static"), step("int8", 49.5, FAST))


def test_every_step_is_in_the_table_and_the_charts():
    page = journey.page([None, described(WHOLE), described(WHOLE), described({})])
    assert page.count('<section class="journey"') == 1
    assert re.findall(r"<b>([\w-]+)</b>", page.partition("<tbody>")[2]) == [
        "baseline", "int8-static", "int8",
    ]  # fmt: skip
    assert page.count("3.0 ×") == 1
    assert page.count(">served<") == page.count(">failed its gate<") == 1
    assert "F1 against latency, 512 tokens" in page
    assert page.count('<g class="c') == 3 * 2 + 3 + 6  # legend and table, then the charts
    assert "F1 on the 200 questions of questions.json; latency with 2 threads" in page


def test_two_builds_are_two_journeys():
    page = journey.page([described(WHOLE, "1"), described(WHOLE | {"name": "other"}, "2")])
    assert page.count('<section class="journey"') == 2


def test_what_was_not_measured_is_said():
    unmeasured = report(step("baseline", None, {}), step("int8", None, {}))
    page = journey.page([described(unmeasured)])
    assert "They were not measured together." in page
    assert "It was not measured on this machine." in page
    assert "–" in page


def test_without_a_report():
    assert journey.page([None, described({})]) == journey.NO_REPORT


@pytest.mark.parametrize(
    "broken",
    [{"steps": []}, {"steps": [{}]}, {"steps": 7}, {"conditions": None}, {"rejected": None}],
)
def test_a_report_that_cannot_be_read(broken):
    page = journey.page([described(WHOLE | broken | {"name": "<x>"})])
    assert "The report of &lt;x&gt; cannot be read by this page." in page


def test_texts_of_a_report_stay_texts():
    wild = report(step("<script>"), name="<b>", version="<i>")
    wild["conditions"]["dataset"] = "<img>"
    assert not re.search("<(script|b|i|img)>", journey.page([described(wild)]).replace("<b>", "", 4)
                         .replace("<b>&lt;", ""))  # fmt: skip


VALUES = st.lists(st.floats(0.01, 1e5), min_size=1, max_size=8)


@given(VALUES, st.booleans())
def test_a_linear_axis_has_its_values_and_some_ticks(values, zero):
    axis = charts.linear("x", values, zero=zero)
    assert all(0 <= axis.place(value) <= 100 for value in values)
    assert all(-1e-6 <= axis.place(tick) <= 100 + 1e-6 for tick in axis.ticks)
    assert 2 <= len(axis.ticks) <= 8


@given(st.lists(st.integers(1, 512), min_size=1, max_size=10))
def test_a_logarithmic_axis_leaves_room_between_its_ticks(values):
    axis = charts.logarithmic("tokens", values)
    places = [axis.place(tick) for tick in axis.ticks]
    assert all(0 <= axis.place(value) <= 100 for value in values)
    assert max(values) in axis.ticks
    assert all(b - a >= 9 for a, b in zip(places, places[1:], strict=False))


def test_little_shall_not_look_like_much():
    axis = charts.linear("F1", [50.0, 50.1], zero=False, least=4.0)
    assert abs(axis.place(50.1) - axis.place(50.0)) < 3
