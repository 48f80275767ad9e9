"""V2 bodies: JSON and binary, both ways."""

import json
import struct

import pytest

from predictor.errors import InvalidRequest
from predictor.rest_api import v2 as v2_rest
from predictor.types import Answer, Question, Result, SpanParameters

DEFAULTS = SpanParameters()
RESULTS = [Result((Answer("é", 0.75, 3, 4),), -1.5, 42)]


def tensor(name, data, shape=None, datatype="BYTES"):
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


PAIR = [tensor("question", ["a"]), tensor("context", ["c"])]


def decode(inputs, **members):
    body = json.dumps({"inputs": inputs} | members).encode()
    return v2_rest.decode(body, None, DEFAULTS, 512)


def packed(*texts):
    return b"".join(struct.pack("<I", len(t)) + t for t in texts)


def decode_binary(question, context=b"\x01\0\0\0c", *, after=b"", sizes=None, header=None):
    sizes = sizes or (len(question), len(context))
    inputs = [
        {"name": n, "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": size}}
        for n, size in zip(("question", "context"), sizes, strict=True)
    ]
    head = json.dumps({"inputs": inputs}).encode()
    body = head + question + context + after
    return v2_rest.decode(body, header or str(len(head)), DEFAULTS, 512)


@pytest.mark.parametrize("data", [["a", "b"], [["a"], ["b"]]])
def test_a_column_is_accepted_flat_and_nested(data):
    request = decode([tensor("question", data, [2, 1]), tensor("context", ["c", "d"])])
    assert request.call.questions == (Question("a", "c"), Question("b", "d"))


def test_ids_are_echoed_or_made():
    assert decode(PAIR, id="mine").id == "mine"
    assert decode(PAIR).id != decode(PAIR).id


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "must be a list of objects"),
        (["question"], "must be a list of objects"),
        ([{"name": "question"}], r"inputs\[0\] must have a name and a datatype"),
        ([tensor("question", ["a"], datatype="FP32")], "datatype 'FP32'"),
        ([tensor("question", ["a"], [2])], "does not fit shape"),
        ([tensor("question", ["a", "b"], [1, 2])], "shape"),
        ([tensor("question", ["a"], [True])], "whole numbers"),
        ([tensor("question", ["a"], "1")], "whole numbers"),
        ([tensor("question", [], [0])], "shape"),
        ([tensor("question", "a", [1])], "no list of data"),
        ([tensor("question", [["a"]], [1])] + PAIR[1:], "not a string"),
        ([tensor("question", [["a", "b"], ["c"]], [3, 1])], "does not fit shape"),
        ([tensor("question", [["a"], "b"], [2, 1])], "does not fit shape"),
        ([PAIR[0] | {"parameters": []}], "must be an object"),
        ([PAIR[0] | {"parameters": {"binary_data_size": 1}}], "both data and binary"),
        ([{**PAIR[0], "parameters": None}], "must be an object"),
    ],
)
def test_malformed_inputs_are_named(inputs, message):
    with pytest.raises(InvalidRequest, match=message):
        decode(inputs)


@pytest.mark.parametrize(
    "members",
    [
        {"id": 3},
        {"parameters": [1]},
        {"parameters": {"top_k": None}},
        {"parameters": {"binary_data_output": "yes"}},
        {"outputs": "answer"},
        {"outputs": [{"name": "nope"}]},
        {"outputs": [{}]},
        {"outputs": [{"name": "answer", "parameters": {"binary_data": 1}}]},
    ],
)
def test_malformed_members_are_refused(members):
    with pytest.raises(InvalidRequest):
        decode(PAIR, **members)


def test_an_output_whose_name_is_deep_lists_is_refused():
    body = b'{"inputs": [], "outputs": [{"name": ' + b"[" * 1000 + b"]" * 1000 + b"}]}"
    with pytest.raises(InvalidRequest, match=r"outputs\[0\] must have a name"):
        v2_rest.decode(body, None, DEFAULTS, 512)


def test_raw_contents():
    assert decode_binary(packed("é".encode())).call.questions == (Question("é", "c"),)


@pytest.mark.parametrize(
    "broken",
    [
        {"question": packed(b"\xff\xfe")},
        {"question": b"\x09\x00\x00\x00abc"},
        {"question": b"\x01"},
        {"question": packed(b"a", b"b")},
        {"question": packed(b"a"), "after": b"more"},
        {"question": packed(b"a"), "sizes": (5, 500)},
        {"question": packed(b"a"), "sizes": (-1, 5)},
        {"question": packed(b"a"), "header": "many"},
        {"question": packed(b"a"), "header": "-3"},
        {"question": packed(b"a"), "header": "99999"},
        {"question": packed(b"a"), "header": "9" * 5000},
    ],
)
def test_malformed_raw_contents_are_refused(broken):
    with pytest.raises(InvalidRequest):
        decode_binary(**broken)


def test_json_response():
    request = decode(PAIR, id="mine", outputs=[{"name": "score"}, {"name": "answer"}])
    body, headers = v2_rest.encode(request, RESULTS, model="qa", version=3)
    assert json.loads(body) == {
        "id": "mine",
        "model_name": "qa",
        "model_version": "3",
        "outputs": [
            {"name": "score", "datatype": "FP32", "shape": [1, 1], "data": [0.75]},
            {"name": "answer", "datatype": "BYTES", "shape": [1, 1], "data": ["é"]},
        ],
    }
    assert headers == {"content-type": "application/json"}


def test_binary_response():
    outputs = [
        {"name": "start"},
        {"name": "answer", "parameters": {"binary_data": False}},
        {"name": "score"},
    ]
    request = decode(PAIR, outputs=outputs, parameters={"binary_data_output": True})
    body, headers = v2_rest.encode(request, RESULTS, model="qa", version=3)
    size = int(headers["inference-header-content-length"])
    described = json.loads(body[:size])["outputs"]
    assert [o.get("parameters") for o in described] == [
        {"binary_data_size": 8},
        None,
        {"binary_data_size": 4},
    ]
    assert described[1]["data"] == ["é"]
    assert body[size:] == struct.pack("<q", 3) + struct.pack("<f", 0.75)


def test_a_binary_answer_is_packed_with_its_length():
    request = decode(PAIR, outputs=[{"name": "answer", "parameters": {"binary_data": True}}])
    body, headers = v2_rest.encode(request, RESULTS, model="qa", version=3)
    assert body[int(headers["inference-header-content-length"]) :] == packed("é".encode())
