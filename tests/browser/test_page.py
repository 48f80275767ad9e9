"""The page in a browser, as a visitor uses it."""

import os
import re
import signal
from pathlib import Path

import pytest

from demo.page.cards import NO_ANSWER
from demo.page.examples import EXAMPLES, MOST_QUESTION, MOST_TEXT
from loadtest.local.servers import HOST, stop
from tests.browser.conftest import SCREENSHOTS
from tests.conftest import ROOT
from tests.demo.pages import serving

NAMES = ["baseline", "pruned", "optimized"]
LEGIBILITY = Path(__file__).with_name("legibility.js").read_text(encoding="utf-8")
PICTURE = ROOT / "docs" / "images" / "demo.png"


def card(page, name):
    return page.locator(f"article[data-model='{name}']")


def answered(page, names=NAMES):
    """Waits for the answers of these models; their texts."""
    for name in names:
        page.locator(f"article.answered[data-model='{name}']").wait_for()
    return [card(page, name).locator(".answer .words").inner_text() for name in names]


def ask(page, text, question):
    page.get_by_label("Text").fill(text)
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask all models").click()


def fits(page):
    """Whether nothing has to be scrolled sideways."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def keep(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.mouse.move(0, 0)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.label)
def test_each_example(visit, example):
    page = visit()
    page.get_by_role("button", name=example.label).click()
    words = answered(page)
    assert page.get_by_label("Text").input_value() == example.text
    assert page.get_by_label("Question").input_value() == example.question
    for name, answer in zip(NAMES, words, strict=True):
        marks = card(page, name).locator(".passage mark").all_inner_texts()
        if example.label == "Not in the text":
            assert (answer, marks) == (NO_ANSWER, [])
        else:
            assert answer in example.text
            assert marks == [answer]
    if example is EXAMPLES[0]:
        assert all("second little pig" in answer for answer in words)
    if example is EXAMPLES[1]:
        assert all("danced" in answer for answer in words)
    if example is EXAMPLES[3]:
        # The last window has it, and the passage shows where.
        assert all(answer == "sixteen days" for answer in words)
        assert card(page, "optimized").locator(".tokens").inner_text() == "512 tokens"


def test_what_a_card_tells(visit):
    page = visit()
    page.get_by_role("button", name="Ask all models").click()
    answered(page)
    for name in NAMES:
        facts = card(page, name).locator(".facts").inner_text()
        assert ("PyTorch" if name == "baseline" else "ONNX Runtime") in facts
        assert re.search(r"\d+\.\d MB\s", facts)
        assert re.search(r"F1 \d+\.\d", facts)
        stages = card(page, name).locator(".stages").inner_text()
        for stage in ("tokenize", "queue", "run", "extract"):
            assert re.search(rf"{stage} [\d.]+ ms", stages)
        assert card(page, name).locator(".times").count() == (name != "baseline")
        rows = card(page, name).locator("tbody tr")
        assert rows.first.is_hidden()
        card(page, name).get_by_text("best answers").click()
        scores = [float(row.split("\t")[-1]) for row in rows.all_inner_texts()]
        assert len(scores) == 5
    assert "as fast as baseline" in page.locator(".verdict").inner_text()


def test_slow_models_show_that_they_are_asked(visit, predictors):
    page = visit()
    pid = predictors[0].process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        page.get_by_role("button", name="Ask all models").click()
        answered(page, NAMES[1:])
        assert "Asking" in card(page, "baseline").inner_text()
        assert page.locator(".verdict").inner_text() == "2 of 3 models have answered …"
    finally:
        os.kill(pid, signal.SIGCONT)
    answered(page)


def test_a_stopped_model_says_so_and_breaks_no_other(visit, predictors, fake, tmp_path):
    hosts = {server.name: server.url for server in (predictors[2], fake)}
    with serving(hosts, tmp_path) as url:
        page = visit(url)
        page.get_by_role("button", name="Ask all models").click()
        answered(page, ["optimized", "fake"])
        stop(fake.process)
        page.get_by_role("button", name=EXAMPLES[1].label).click()
        page.locator("article.failed[data-model='fake']").wait_for()
        assert "it cannot be reached" in card(page, "fake").inner_text()
        (answer,) = answered(page, ["optimized"])
        assert "danced" in answer
        assert page.locator(".verdict").inner_text() == (
            "Only optimized answered (1 of 2 cannot answer now)."
        )
        keep(page, "desktop-stopped")
        page.context.close()


def test_what_looks_like_code_stays_text(visit):
    page = visit()
    text = (
        "The first little pig disliked <b>work</b>. <script>alert(1)</script>\n"
        "The <i>second little pig</i> worked a little bit harder. "
        "${alert(2)} {{value}} `x` <img src=x onerror=alert(3)> &lt;b&gt; & so on."
    )
    ask(page, text, "Who worked a little bit harder? <script>alert(4)</script>")
    words = answered(page)
    for name, answer in zip(NAMES, words, strict=True):
        assert answer in text
        passage = card(page, name).locator(".passage")
        assert passage.inner_text() == text
        assert passage.locator("script, b, i, img").count() == 0
        assert passage.locator("mark").inner_text() == answer
    keep(page, "desktop-code")


def test_without_a_question_or_a_text(visit):
    page = visit()
    ask(page, EXAMPLES[0].text, "  ")
    page.get_by_role("alert").filter(has_text="no question yet").wait_for()
    ask(page, " \n ", "Who?")
    page.get_by_role("alert").filter(has_text="no text").wait_for()
    assert card(page, "baseline").get_by_text("Not asked yet.").is_visible()


def test_the_form_takes_no_more_than_it_says(visit):
    page = visit()
    for label, most in (("Text", MOST_TEXT), ("Question", MOST_QUESTION)):
        assert page.get_by_label(label).get_attribute("maxlength") == str(most)


def test_with_the_keyboard_alone(visit):
    page = visit()
    page.get_by_role("tab", name="Ask").focus()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = "document.activeElement"
        reached.append(page.evaluate(f"{focused}.tagName + ' ' + {focused}.innerText"))
        outline = page.evaluate(f"parseFloat(getComputedStyle({focused}).outlineWidth)")
        assert outline >= 2, f"{reached[-1]} does not show that it is focused"
        if "A long text" in reached[-1]:
            break
    order = ["TEXTAREA", "Ask all models", *(example.label for example in EXAMPLES)]
    places = [next(i for i, each in enumerate(reached) if name in each) for name in order]
    assert places == sorted(places)
    page.get_by_label("Question").focus()
    page.keyboard.press("Enter")
    answered(page)
    summary = card(page, "baseline").locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert card(page, "baseline").locator("tbody tr").first.is_visible()
    page.get_by_role("tab", name="Ask").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".chart").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["desktop", "phone"])
def test_it_is_legible_and_fits(visit, width, scheme):
    page = visit(width=width, scheme=scheme)

    def check(what):
        seen = page.evaluate(LEGIBILITY)
        assert seen["looked"] > 15
        assert seen["low"] == [], what
        assert fits(page), what
        keep(page, f"{width}-{scheme}-{what}")

    check("idle")
    page.get_by_role("button", name="Ask all models").click()
    answered(page)
    card(page, "optimized").get_by_text("best answers").click()
    check("answered")
    page.get_by_role("tab", name="The journey").click()
    page.locator(".chart").first.wait_for()
    check("journey")


def test_a_phone_shows_the_answers_once_they_are_asked_for(visit):
    page = visit(width="phone")
    in_sight = "document.getElementById('verdict').getBoundingClientRect().bottom < innerHeight"
    assert not page.evaluate(in_sight)
    page.get_by_role("button", name="Ask all models").click()
    page.wait_for_function(in_sight)
    answered(page)
    assert page.evaluate(in_sight)


def test_the_journey(visit):
    page = visit()
    page.get_by_role("tab", name="The journey").click()
    page.locator(".chart").first.wait_for()
    names = page.locator(".wide th[scope] b").all_inner_texts()
    assert names[:4] == ["baseline", "pruned", "onnx", "graph"]
    # All models are of one build.
    assert page.locator("section.journey").count() == 1
    charts = page.locator("figure")
    assert charts.count() == 2
    for index, points in ((0, len(names)), (1, len(names) * 8)):
        inside = charts.nth(index).locator(".chart").bounding_box()
        shapes = charts.nth(index).locator(".chart g").all()
        assert len(shapes) == points
        for shape in shapes:
            box = shape.bounding_box()
            assert inside["x"] <= box["x"] <= inside["x"] + inside["width"]
            assert inside["y"] <= box["y"] <= inside["y"] + inside["height"]
    assert page.locator(".tag", has_text="served").count() == 1


def test_the_picture_of_the_readme(visit, request, tmp_path):
    page = visit()
    page.get_by_role("button", name="Ask all models").click()
    answered(page)
    page.mouse.move(0, 0)
    picture = tmp_path / "demo.png"
    page.screenshot(path=picture, full_page=True, animations="disabled")
    assert picture.stat().st_size < 300_000
    if request.config.getoption("--readme-screenshot"):
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_bytes(picture.read_bytes())


def test_the_page_itself_calls_nobody_but_its_models(visit, site):
    page = visit()
    page.get_by_role("button", name="Ask all models").click()
    answered(page)
    assert set(site[1].read_text().split()) == {HOST}
