"""V1 bodies, both ways; malformed ones are InvalidRequest."""

import json

import pytest

from predictor.codecs.call import MOST_QUESTIONS
from predictor.errors import InvalidRequest, RequestTooLarge
from predictor.rest_api import v1
from predictor.types import Answer, Question, Result, SpanParameters


def decode(body):
    return v1.decode(body, SpanParameters(), 512)


def test_a_request():
    body = b'{"instances": [{"question": "a", "context": "c"}], "parameters": {"top_k": 2}}'
    call = decode(body)
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
        '{"instances": [{"question": "a", "context": "c"}], "parameters": {"topk": 1}}',
    ],
)
def test_malformed_requests_are_refused(payload):
    with pytest.raises(InvalidRequest):
        decode(payload.encode())


def test_what_is_not_utf8_is_refused():
    with pytest.raises(InvalidRequest, match="not JSON"):
        decode(b'{"instances": "\xff"}')


def test_a_response():
    results = [
        Result((Answer("é", 0.75, 3, 4), Answer("b", 0.125, 5, 6)), -1.5, 42),
        Result((Answer("", 0.5, 0, 0),), 2.0, 17),
    ]
    one = json.loads(v1.encode(results, 1))["predictions"]
    assert one[0] == {"answer": "é", "score": 0.75, "start": 3, "end": 4}
    several = json.loads(v1.encode(results, 2))["predictions"]
    assert [len(answers) for answers in several] == [2, 1]


def test_a_parameter_of_deep_lists_is_refused():
    deep = b"[" * 1000 + b"]" * 1000  # deeper than Python's own repr can follow
    instances = b'[{"question": "a", "context": "c"}]'
    body = b'{"instances": ' + instances + b', "parameters": {"top_k": ' + deep + b"}}"
    with pytest.raises(InvalidRequest, match="top_k must be a finite number"):
        decode(body)


def test_questions_are_counted_before_they_are_read():
    body = json.dumps({"instances": [{}] * (MOST_QUESTIONS + 1)}).encode()
    with pytest.raises(RequestTooLarge, match=f"{MOST_QUESTIONS + 1} questions"):
        decode(body)
