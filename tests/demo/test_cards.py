"""What is said of each outcome."""

import re

import pytest

from demo.page import cards
from demo.page.asking import AskError, Candidate, Reply
from demo.page.describing import Description

WHOLE = Description("ONNX Runtime", "1", "id", "int8", 0.42, 20_400_000, 51.94, "q.json", {})


def reply(text="pig", milliseconds=10.0, start=4):
    end = start + len(text)
    others = (Candidate("", 0.1, 0, 0), Candidate("<b>", 0.05, 0, 3))
    return Reply(
        (Candidate(text, 0.8, start if text else 0, end if text else 0), *others),
        12,
        {"tokenize": milliseconds / 4, "run": milliseconds * 3 / 4},
        "1",
    )


def done(outcome, **changes):
    given = {"baseline": None, "longest": 40.0} | changes
    return cards.done("optimized", WHOLE, outcome, "the pig <ate>", **given)


def test_figures_are_the_models_own():
    card = done(reply(), baseline=reply(milliseconds=40.0))
    for fact in ("ONNX Runtime", "INT8", "20.4 MB", "42 % of the weights", "F1 51.9"):
        assert fact in card
    assert "<b>10.0 ms</b>" in card
    assert "4.0 × as fast" in card
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", card)]
    assert widths == [6.25, 18.75]
    assert "the <mark>pig</mark> &lt;ate&gt;" in card
    assert "<td>&lt;b&gt;</td>" in card


def test_what_is_not_known_is_not_made_up():
    bare = cards.done(
        "other", Description("tritonserver", "2"), Reply(reply().candidates, 3, {}, ""), "the pig",
        baseline=reply(), longest=0.0,
    )  # fmt: skip
    assert "time not told" in bare
    assert not re.search(r"F1|MB|as fast|class=.bar", bare)
    measured = Description("PyTorch", "1", precision="fp32", model_bytes=1)
    assert "F1 not measured" in cards.idle("x", measured)


def test_no_answer_is_told_apart_from_no_reply():
    assert cards.NO_ANSWER in done(reply(text=""))
    failed = done(AskError("it answered 429: too busy <now>"))
    assert "it answered 429: too busy &lt;now&gt;." in failed
    assert "failed" in failed


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        (
            [reply(milliseconds=40), reply()],
            "Both models give the same answer, b 4.0 × as fast as a.",
        ),
        ([reply(), reply(milliseconds=40)], "Both models give the same answer."),
        ([reply(), reply("pi")], "The answers differ."),
        ([reply(""), reply("")], "Both models find no answer."),
        ([reply(), AskError("x")], "Only a answered (1 of 2 cannot answer now)."),
        ([AskError("x"), AskError("y")], "None of the models can answer now."),
        ([reply(), None], "1 of 2 models have answered …"),
        ([reply()], "Answered."),
    ],
)
def test_the_verdict(outcomes, said):
    names = ["a", "b"][: len(outcomes)]
    assert re.sub("<[^>]*>", "", cards.verdict(names, outcomes)) == said


def test_a_name_is_text_too():
    assert "<i>" not in cards.asking("<i>", None) + cards.looking("<i>") + cards.idle("<i>", None)
