"""V2 messages: typed and raw contents, both ways."""

import struct

import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from predictor.codecs.v2 import OUTPUT_NAMES
from predictor.errors import InvalidRequest
from predictor.grpc_api import v2 as v2_grpc
from predictor.types import Answer, Question, Result, SpanParameters, Timings

RESULTS = [Result((Answer("é", 0.75, 3, 4),), -1.5, 42)]


def packed(text):
    return struct.pack("<I", len(text)) + text


def message(*, raw=None, typed=True):
    result = pb.ModelInferRequest(model_name="qa", id="mine", raw_input_contents=raw or [])
    for name, text in (("question", b"q"), ("context", "é".encode())):
        tensor = result.inputs.add(name=name, datatype="BYTES", shape=[1])
        if typed:
            tensor.contents.bytes_contents.append(text)
    return result


def decode(request):
    return v2_grpc.decode(request, SpanParameters(), 512)


@pytest.mark.parametrize(
    "request_",
    [message(), message(raw=[packed(b"q"), packed("é".encode())], typed=False)],
    ids=["typed", "raw"],
)
def test_contents_and_parameters(request_):
    request_.parameters["top_k"].int64_param = 4
    request_.parameters["null_score_diff_threshold"].string_param = "-2.5"
    call, names = decode(request_)
    assert call.questions == (Question("q", "é"),)
    assert (call.parameters.top_k, call.parameters.null_score_diff_threshold) == (4, -2.5)
    assert names == OUTPUT_NAMES


def test_parameters_of_the_protocol_that_the_sdk_does_not_know():
    request = message()
    # InferParameter.double_param and uint64_param, as they are on the wire.
    double = pb.InferParameter.FromString(b"\x21" + struct.pack("<d", -2.5))
    unsigned = pb.InferParameter.FromString(b"\x28\x03")
    request.parameters["null_score_diff_threshold"].MergeFrom(double)
    request.parameters["top_k"].MergeFrom(unsigned)
    call, _ = decode(request)
    assert (call.parameters.top_k, call.parameters.null_score_diff_threshold) == (3, -2.5)


def with_shape(*shape):
    request = message()
    del request.inputs[0].shape[:]
    request.inputs[0].shape.extend(shape)
    return request


def without_value(name="top_k"):
    request = message()
    request.parameters[name].SetInParent()
    return request


def with_output(name):
    request = message()
    request.outputs.add(name=name)
    return request


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (message(raw=[packed(b"q")], typed=False), "1 raw contents"),
        (message(raw=[packed(b"q")] * 2), "both contents and raw"),
        (message(raw=[b"\x05", packed(b"q")], typed=False), "does not fit"),
        (message(typed=False), "does not fit shape"),
        (with_shape(2), "does not fit shape"),
        (with_shape(), "shape"),
        (with_shape(-1), "shape"),
        (without_value(), "top_k has no value"),
        (without_value("topk"), "unknown parameter 'topk'"),
        (with_output("nope"), "unknown output"),
    ],
)
def test_malformed_requests_are_refused(request_, text):
    with pytest.raises(InvalidRequest, match=text):
        decode(request_)


def test_typed_response():
    request = message()
    call, names = decode(request)
    timings = Timings(run=0.002)
    response = v2_grpc.encode(request, call, names, RESULTS, timings, version=3)
    assert (response.id, response.model_name, response.model_version) == ("mine", "qa", "3")
    assert "run;dur=2.000" in response.parameters["server_timing"].string_param
    contents = {output.name: output.contents for output in response.outputs}
    assert list(contents["answer"].bytes_contents) == ["é".encode()]
    assert list(contents["score"].fp32_contents) == [0.75]
    assert list(contents["end"].int64_contents) == [4]
    assert not response.raw_output_contents


def test_raw_response_of_requested_outputs():
    request = message(raw=[packed(b"q"), packed(b"c")], typed=False)
    request.outputs.add(name="answer")
    request.outputs.add(name="score")
    call, names = decode(request)
    response = v2_grpc.encode(request, call, names, RESULTS, Timings(), version=3)
    assert [output.name for output in response.outputs] == ["answer", "score"]
    assert list(response.raw_output_contents) == [packed("é".encode()), struct.pack("<f", 0.75)]
