"""The same answers and the same errors over gRPC, and a shutdown with both servers up."""

import signal

import grpc
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from demo.servers import running
from loadtest.local.servers import HOST


def request(question, model="qa", **parameters):
    message = pb.ModelInferRequest(model_name=model, id="mine")
    for name, text in (("question", question), ("context", b"The pig built a house of straw.")):
        tensor = message.inputs.add(name=name, datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(text)
    for name, value in parameters.items():
        message.parameters[name].int64_param = value
    return message


def test_an_answer_with_timings(stub):
    response = stub.ModelInfer(request(b"What was the house built of?"), timeout=30)
    outputs = {output.name: output.contents for output in response.outputs}
    assert response.id == "mine"
    assert list(outputs["answer"].bytes_contents) == [b"straw"]
    assert list(outputs["start"].int64_contents) == [25]
    assert "run;dur=" in response.parameters["server_timing"].string_param


def test_requested_outputs(stub):
    message = request(b"What was the house built of?")
    message.outputs.add(name="answer")
    response = stub.ModelInfer(message, timeout=30)
    assert [output.name for output in response.outputs] == ["answer"]


def with_output(name):
    message = request(b"Who?")
    message.outputs.add(name=name)
    return message


def with_empty_parameter():
    message = request(b"Who?")
    message.parameters["top_k"].SetInParent()
    return message


def with_version(version):
    message = request(b"Who?")
    message.model_version = version
    return message


def test_no_client_takes_the_model_away(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="qa"), timeout=5)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert stub.ModelInfer(with_version("1"), timeout=30).id == "mine"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (request(b""), grpc.StatusCode.INVALID_ARGUMENT),
        (request(b"\xff"), grpc.StatusCode.INVALID_ARGUMENT),
        (request(b"Who?", top_k=0), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ModelInferRequest(model_name="qa"), grpc.StatusCode.INVALID_ARGUMENT),
        (with_output("nope"), grpc.StatusCode.INVALID_ARGUMENT),
        (with_empty_parameter(), grpc.StatusCode.INVALID_ARGUMENT),
        (with_version("9"), grpc.StatusCode.NOT_FOUND),
        (request(b"Who?", model="no"), grpc.StatusCode.NOT_FOUND),
    ],
)
def test_bad_requests(stub, message, code):
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(message, timeout=30)
    assert caught.value.code() == code


def test_sigterm_stops_both_servers(make_artifact, tmp_path):
    settings = {"fake": {"session": "fake"}}
    with running({"fake": make_artifact()}, settings, tmp_path, grpc=True) as (server,):
        with grpc.insecure_channel(f"{HOST}:{server.grpc_port}") as channel:
            live = GRPCInferenceServiceStub(channel).ServerLive
            assert live(pb.ServerLiveRequest(), timeout=30, wait_for_ready=True).live
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(45) == 0
