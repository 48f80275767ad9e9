"""Targets are the tokens of the answer, whatever the tokenizer and the window."""

import logging

import pytest

from optimize.data.squad import Example
from optimize.errors import SourceError
from optimize.evaluation.parity import QUESTIONS
from optimize.training.features import features
from predictor.tokenization import FeatureTokenizer
from predictor.types import Question
from tests.optimize.source import sources

CONTEXT = QUESTIONS[0].context
LONG = " ".join([CONTEXT] * 4)


@pytest.fixture(params=["bert", "roberta"], scope="module")
def folder(request, tmp_path_factory):
    return sources.write(request.param, tmp_path_factory.mktemp("source") / "source")


def tokenizer(folder, longest=64):
    return FeatureTokenizer(folder / "tokenizer.json", max_seq_length=longest, doc_stride=8)


def example(text, context=CONTEXT, question="When?", start=None):
    start = context.index(text) if start is None else start
    return Example("1", "t", question, context, (text,), (start,))


def spans(folder, one, longest=64):
    """What each window's target says, as text; None for the null."""
    made = features([one], tokenizer(folder, longest))
    windows = tokenizer(folder, longest).features([Question(one.question, one.context)])
    by_ids = {tuple(window.input_ids): window for window in windows}
    found = []
    for feature in made:
        window = by_ids[tuple(feature.input_ids)]
        assert (window.token_type_ids == feature.token_type_ids).all()
        if feature.end:
            begin = window.offset_mapping[feature.start, 0]
            found.append(one.context[begin : window.offset_mapping[feature.end, 1]])
        else:
            assert feature.start == 0
            found.append(None)
    return found


@pytest.mark.parametrize(
    "text", ["1732", "two stone piers", "The harbour", "since the flood of 1953"]
)
def test_the_target_is_the_answer(folder, text):
    found = [span.strip() for span in spans(folder, example(text), 512) if span]
    assert found == [text]


def test_an_answer_inside_of_a_word_takes_its_tokens(folder):
    (found,) = spans(folder, example("ighthous"), 512)
    assert "ighthous" in found


def test_of_windows_beside_the_answer_one_is_kept(folder):
    last = LONG.rindex("1953")
    found = spans(folder, example("1953", LONG, start=last))
    assert found.count(None) == 1
    assert [span.strip() for span in found if span] == ["1953"]
    assert len(tokenizer(folder).features([Question("When?", LONG)])) > 3


def test_an_answer_that_no_window_has_whole_is_a_null(folder):
    whole = example(CONTEXT, start=0)
    assert spans(folder, whole) == [None]


def test_without_an_answer_the_target_is_the_null(folder):
    assert spans(folder, Example("1", "t", "When?", CONTEXT, ())) == [None]


def test_a_question_that_leaves_no_room_is_left_out_and_said(folder, caplog):
    endless = example("1732", question="when " * 80)
    with caplog.at_level(logging.WARNING, "optimize"):
        made = features([endless, example("1732")], tokenizer(folder))
    assert made
    assert "question '1' is left out: question is too long" in caplog.text


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ((), "question '1': its answers have no answer_start"),
        ((1,), "question '1': its answer is not at its answer_start"),
    ],
)
def test_answers_must_be_where_the_file_says(folder, starts, message):
    with pytest.raises(SourceError, match=message):
        features([Example("1", "t", "When?", CONTEXT, ("1732",), starts)], tokenizer(folder))
