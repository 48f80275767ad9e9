"""What requests of every protocol have in common, and V1; malformed ones are InvalidRequest."""

import json

import pytest

from predictor import codecs
from predictor.errors import InvalidRequest, RequestTooLarge
from predictor.tensors import Tensor
from predictor.types import Answer, Question, Result, SpanParameters

DEFAULTS = SpanParameters()


def column(name, *values):
    return Tensor(name, "BYTES", (len(values),), values)


PAIR = (column("question", "a"), column("context", "c"))


def decode(*tensors, **parameters):
    return codecs.decode_v2(tensors, parameters, DEFAULTS, 512)


def test_one_context_serves_all_questions():
    call = decode(column("question", "a", b"b"), column("context", "c"))
    assert call.questions == (Question("a", "c"), Question("b", "c"))
    assert call.parameters == DEFAULTS
    assert call.timeout is None


def test_parameters_are_laid_over_the_artifacts():
    call = decode(*PAIR, top_k=2, max_answer_length="7", timeout=1500, priority=1)
    assert (call.parameters.top_k, call.parameters.max_answer_length) == (2, 7)
    assert call.timeout == pytest.approx(0.0015)


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


@pytest.mark.parametrize(
    "parameters",
    [
        {"top_k": 0},
        {"top_k": 21},
        {"top_k": 1.5},
        {"top_k": True},
        {"top_k": "many"},
        {"top_k": None},
        {"max_answer_length": 513},
        {"null_score_diff_threshold": "nan"},
        {"null_score_diff_threshold": []},
        {"timeout": -1},
        {"topk": 1},
    ],
)
def test_bad_parameters_are_refused_on_both_protocols(parameters):
    with pytest.raises(InvalidRequest, match=next(iter(parameters))):
        decode(*PAIR, **parameters)
    payload = {"instances": [{"question": "a", "context": "c"}], "parameters": parameters}
    with pytest.raises(InvalidRequest, match=next(iter(parameters))):
        codecs.decode_v1(json.dumps(payload).encode(), DEFAULTS, 512)


def test_v1():
    body = b'{"instances": [{"question": "a", "context": "c"}], "parameters": {"top_k": 2}}'
    call = codecs.decode_v1(body, DEFAULTS, 512)
    assert call.questions == (Question("a", "c"),)
    assert call.parameters.top_k == 2


@pytest.mark.parametrize(
    "payload",
    [
        "{",
        "[]",
        "{}",
        '{"instances": []}',
        '{"instances": "a"}',
        '{"instances": ["a"]}',
        '{"instances": [{"question": "a"}]}',
        '{"instances": [{"question": "a", "context": 3}]}',
        '{"instances": [{"question": "", "context": "c"}]}',
        '{"instances": [{"question": "\\ud800", "context": "c"}]}',
        '{"instances": [{"question": "a", "context": "c", "top_k": 3}]}',
        '{"instances": [{"question": "a", "context": "c"}], "parameters": [1]}',
    ],
)
def test_malformed_v1_is_refused(payload):
    with pytest.raises(InvalidRequest):
        codecs.decode_v1(payload.encode(), DEFAULTS, 512)


def test_v1_that_is_not_utf8_is_refused():
    with pytest.raises(InvalidRequest, match="not JSON"):
        codecs.decode_v1(b'{"instances": "\xff"}', DEFAULTS, 512)


RESULTS = [
    Result((Answer("é", 0.75, 3, 4), Answer("b", 0.125, 5, 6)), -1.5, 42),
    Result((Answer("", 0.5, 0, 0),), 2.0, 17),
]


def test_v2_outputs_fill_empty_slots():
    tensors = codecs.encode_v2(RESULTS, 2, codecs.OUTPUT_NAMES)
    assert tensors == [
        Tensor("answer", "BYTES", (2, 2), ["é", "b", "", ""]),
        Tensor("score", "FP32", (2, 2), [0.75, 0.125, 0.5, 0.0]),
        Tensor("start", "INT64", (2, 2), [3, 5, 0, -1]),
        Tensor("end", "INT64", (2, 2), [4, 6, 0, -1]),
        Tensor("null_score_diff", "FP32", (2,), [-1.5, 2.0]),
        Tensor("sequence_length", "INT64", (2,), [42, 17]),
    ]
    described = {o["name"]: (o["datatype"], len(o["shape"])) for o in codecs.OUTPUTS}
    assert {t.name: (t.datatype, len(t.shape)) for t in tensors} == described


def test_v1_response():
    one = json.loads(codecs.encode_v1(RESULTS, 1))["predictions"]
    assert one[0] == {"answer": "é", "score": 0.75, "start": 3, "end": 4}
    several = json.loads(codecs.encode_v1(RESULTS, 2))["predictions"]
    assert [len(answers) for answers in several] == [2, 1]


def test_a_parameter_of_deep_lists_is_refused():
    deep = b"[" * 1000 + b"]" * 1000  # deeper than Python's own repr can follow
    instances = b'[{"question": "a", "context": "c"}]'
    body = b'{"instances": ' + instances + b', "parameters": {"top_k": ' + deep + b"}}"
    with pytest.raises(InvalidRequest, match="top_k must be a finite number"):
        codecs.decode_v1(body, DEFAULTS, 512)


def test_a_refusal_repeats_no_more_of_a_name_than_tells_it():
    with pytest.raises(InvalidRequest, match="^.{1,200}$"):
        decode(column("n" * 100_000, "a"))


def test_an_output_that_is_asked_for_twice_is_given_once():
    assert codecs.check_outputs(["score", "answer", "score"]) == ("score", "answer")


def test_questions_are_counted_before_they_are_read():
    most = codecs.MOST_QUESTIONS
    call = decode(column("question", *["a"] * most), column("context", "c"))
    assert len(call.questions) == most
    with pytest.raises(RequestTooLarge, match=f"{most + 1} questions"):
        decode(column("question", *[""] * (most + 1)), column("context", "c"))
    body = json.dumps({"instances": [{}] * (most + 1)}).encode()
    with pytest.raises(RequestTooLarge, match=f"{most + 1} questions"):
        codecs.decode_v1(body, DEFAULTS, 512)
