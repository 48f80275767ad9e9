"""V1 and V2 requests and responses; every malformed request is an InvalidRequest."""

import struct

import numpy as np
import pytest
from kserve import InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from predictor import codecs
from predictor.errors import InvalidRequest
from predictor.types import Answer, Question, Result, SpanParameters, Timings

DEFAULTS = SpanParameters()


def tensor(name, data, shape=None, datatype="BYTES"):
    return InferInput(name, shape or [len(data)], datatype, data=data)


def request(*inputs, parameters=None, **kwargs):
    return InferRequest("qa", list(inputs), parameters=parameters, **kwargs)


def decode(*inputs, parameters=None):
    return codecs.decode_v2(request(*inputs, parameters=parameters), DEFAULTS, 512)


def raw(*texts):
    return b"".join(struct.pack("<I", len(t)) + t for t in texts)


def test_one_context_serves_all_questions():
    call = decode(tensor("question", ["a", "b"]), tensor("context", ["c"]))
    assert call.questions == (Question("a", "c"), Question("b", "c"))
    assert call.parameters == DEFAULTS
    assert call.timeout is None


@pytest.mark.parametrize("data", [["a", "b"], [["a"], ["b"]]])
def test_a_column_is_accepted_flat_and_nested(data):
    call = decode(tensor("question", data, [2, 1]), tensor("context", ["c", "d"]))
    assert call.questions == (Question("a", "c"), Question("b", "d"))


def test_raw_grpc_contents():
    message = pb.ModelInferRequest(
        model_name="qa", raw_input_contents=[raw(b"q"), raw(b"\xc3\xa9")]
    )
    for name in ("question", "context"):
        message.inputs.add(name=name, datatype="BYTES", shape=[1])
    message.parameters["top_k"].int64_param = 4
    message.parameters["null_score_diff_threshold"].string_param = "-2.5"
    call = codecs.decode_v2(InferRequest.from_grpc(message), DEFAULTS, 512)
    assert call.questions == (Question("q", "é"),)
    assert (call.parameters.top_k, call.parameters.null_score_diff_threshold) == (4, -2.5)


def test_parameters_are_laid_over_the_artifacts():
    parameters = {"top_k": 2, "max_answer_length": "7", "timeout": 1500, "priority": 1}
    call = decode(tensor("question", ["a"]), tensor("context", ["c"]), parameters=parameters)
    assert (call.parameters.top_k, call.parameters.max_answer_length) == (2, 7)
    assert call.timeout == pytest.approx(0.0015)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "'question' is missing"),
        ([tensor("question", ["a"])], "'context' is missing"),
        ([tensor("question", ["a"]), tensor("passage", ["c"])], "unknown input 'passage'"),
        ([tensor("question", ["a"]), tensor("question", ["a"])], "given twice"),
        ([tensor("question", ["a"], datatype="FP32")], "datatype FP32"),
        ([tensor("question", ["a"], [2])], "does not fit shape"),
        ([tensor("question", ["a", "b"], [1, 2])], "shape"),
        ([tensor("question", [], [0])], "shape"),
        ([tensor("question", [1])], "not a string"),
        ([tensor("question", [["a", "b"], ["c"]], [2])], "not a string"),
        ([tensor("question", [""]), tensor("context", ["c"])], r"question\[0\] is empty"),
        ([tensor("question", ["a"]), tensor("context", [" \n"])], r"context\[0\] is empty"),
        ([tensor("question", ["\ud800"]), tensor("context", ["c"])], "not valid Unicode"),
        ([tensor("question", ["a"] * 3), tensor("context", ["c"] * 2)], "3 questions but 2"),
    ],
)
def test_malformed_inputs_are_named(inputs, message):
    with pytest.raises(InvalidRequest, match=message):
        decode(*inputs)


@pytest.mark.parametrize("content", [raw(b"\xff\xfe"), b"\x09\x00\x00\x00abc", b"\x01"])
def test_malformed_raw_bytes(content):
    question = InferInput("question", [1], "BYTES")
    question._raw_data = content
    with pytest.raises(InvalidRequest):
        decode(question, tensor("context", ["c"]))


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
        decode(tensor("question", ["a"]), tensor("context", ["c"]), parameters=parameters)
    payload = {"instances": [{"question": "a", "context": "c"}], "parameters": parameters}
    with pytest.raises(InvalidRequest, match=next(iter(parameters))):
        codecs.decode_v1(payload, DEFAULTS, 512)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_v1(as_bytes):
    payload = {"instances": [{"question": "a", "context": "c"}], "parameters": {"top_k": 2}}
    body = b'{"instances": [{"question": "a", "context": "c"}], "parameters": {"top_k": 2}}'
    call = codecs.decode_v1(body if as_bytes else payload, DEFAULTS, 512)
    assert call.questions == (Question("a", "c"),)
    assert call.parameters.top_k == 2


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"\xff",
        [],
        {},
        {"instances": []},
        {"instances": "a"},
        {"instances": ["a"]},
        {"instances": [{"question": "a"}]},
        {"instances": [{"question": "a", "context": 3}]},
        {"instances": [{"question": "", "context": "c"}]},
        {"instances": [{"question": "a", "context": "c", "top_k": 3}]},
        {"instances": [{"question": "a", "context": "c"}], "parameters": [1]},
    ],
)
def test_malformed_v1_is_refused(payload):
    with pytest.raises(InvalidRequest):
        codecs.decode_v1(payload, DEFAULTS, 512)


RESULTS = [
    Result((Answer("é", 0.75, 3, 4), Answer("b", 0.125, 5, 6)), -1.5, 42),
    Result((Answer("", 0.5, 0, 0),), 2.0, 17),
]


def test_v2_response_fills_empty_slots():
    response = codecs.encode_v2(
        request(tensor("question", ["a"])), RESULTS, 2, model="qa", version=3, timings=Timings()
    )
    outputs, _ = response.to_rest()
    data = {o["name"]: (o["datatype"], list(o["shape"]), o["data"]) for o in outputs["outputs"]}
    assert data == {
        "answer": ("BYTES", [2, 2], ["é", "b", "", ""]),
        "score": ("FP32", [2, 2], [0.75, 0.125, 0.5, 0.0]),
        "start": ("INT64", [2, 2], [3, 5, 0, -1]),
        "end": ("INT64", [2, 2], [4, 6, 0, -1]),
        "null_score_diff": ("FP32", [2], [-1.5, 2.0]),
        "sequence_length": ("INT64", [2], [42, 17]),
    }
    assert outputs["id"]
    assert outputs["model_version"] == "3"


def test_v2_response_over_grpc():
    asked = request(tensor("question", ["a"]), from_grpc=True, request_id="mine")
    response = codecs.encode_v2(
        asked, RESULTS, 2, model="qa", version=3, timings=Timings(run=0.002)
    ).to_grpc()
    assert response.id == "mine"
    assert "run;dur=2.000" in response.parameters["server_timing"].string_param
    assert list(response.outputs[0].contents.bytes_contents)[:2] == ["é".encode(), b"b"]
    assert np.allclose(response.outputs[4].contents.fp32_contents, [-1.5, 2.0])


def test_v1_response():
    one = codecs.encode_v1(RESULTS, 1)["predictions"]
    assert one[0] == {"answer": "é", "score": 0.75, "start": 3, "end": 4}
    several = codecs.encode_v1(RESULTS, 2)["predictions"]
    assert [len(answers) for answers in several] == [2, 1]
