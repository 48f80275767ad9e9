"""V2 as its transports have it in common, both ways; malformed requests are InvalidRequest."""

import pytest

from predictor.codecs import v2
from predictor.codecs.call import MOST_QUESTIONS
from predictor.codecs.tensors import Tensor
from predictor.errors import InvalidRequest, RequestTooLarge
from predictor.types import Answer, Question, Result, SpanParameters

DEFAULTS = SpanParameters()


def column(name, *values):
    return Tensor(name, "BYTES", (len(values),), values)


PAIR = (column("question", "a"), column("context", "c"))


def decode(*tensors, **parameters):
    return v2.decode(tensors, parameters, DEFAULTS, 512)


def test_one_context_serves_all_questions():
    call = decode(column("question", "a", b"b"), column("context", "c"))
    assert call.questions == (Question("a", "c"), Question("b", "c"))
    assert call.parameters == DEFAULTS
    assert call.timeout is None


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ((), "'question' is missing"),
        (PAIR[:1], "'context' is missing"),
        ((PAIR[0], column("passage", "c")), "unknown input 'passage'"),
        ((PAIR[0], PAIR[0]), "given twice"),
        ((column("question", 1), PAIR[1]), r"question\[0\] is not a string"),
        ((column("question", "a", ["b"]), PAIR[1]), r"question\[1\] is not a string"),
        ((column("question", ""), PAIR[1]), r"question\[0\] is empty"),
        ((PAIR[0], column("context", " \n")), r"context\[0\] is empty"),
        ((column("question", "\ud800"), PAIR[1]), "not valid UTF-8"),
        ((column("question", b"\xff"), PAIR[1]), "not valid UTF-8"),
        ((column("question", *"abc"), column("context", *"de")), "3 questions but 2"),
    ],
)
def test_malformed_inputs_are_named(tensors, message):
    with pytest.raises(InvalidRequest, match=message):
        decode(*tensors)


RESULTS = [
    Result((Answer("é", 0.75, 3, 4), Answer("b", 0.125, 5, 6)), -1.5, 42),
    Result((Answer("", 0.5, 0, 0),), 2.0, 17),
]


def test_v2_outputs_fill_empty_slots():
    tensors = v2.encode(RESULTS, 2, v2.OUTPUT_NAMES)
    assert tensors == [
        Tensor("answer", "BYTES", (2, 2), ["é", "b", "", ""]),
        Tensor("score", "FP32", (2, 2), [0.75, 0.125, 0.5, 0.0]),
        Tensor("start", "INT64", (2, 2), [3, 5, 0, -1]),
        Tensor("end", "INT64", (2, 2), [4, 6, 0, -1]),
        Tensor("null_score_diff", "FP32", (2,), [-1.5, 2.0]),
        Tensor("sequence_length", "INT64", (2,), [42, 17]),
    ]
    described = {o["name"]: (o["datatype"], len(o["shape"])) for o in v2.OUTPUTS}
    assert {t.name: (t.datatype, len(t.shape)) for t in tensors} == described


def test_a_refusal_repeats_no_more_of_a_name_than_tells_it():
    with pytest.raises(InvalidRequest, match="^.{1,200}$"):
        decode(column("n" * 100_000, "a"))


def test_an_output_that_is_asked_for_twice_is_given_once():
    assert v2.check_outputs(["score", "answer", "score"]) == ("score", "answer")


def test_parameters_and_timeout_are_the_calls():
    call = decode(*PAIR, top_k=2, timeout=1500)
    assert call.parameters.top_k == 2
    assert call.timeout == pytest.approx(0.0015)
    with pytest.raises(InvalidRequest, match="topk"):
        decode(*PAIR, topk=1)


def test_questions_are_counted_before_they_are_read():
    most = MOST_QUESTIONS
    call = decode(column("question", *["a"] * most), column("context", "c"))
    assert len(call.questions) == most
    with pytest.raises(RequestTooLarge, match=f"{most + 1} questions"):
        decode(column("question", *[""] * (most + 1)), column("context", "c"))
