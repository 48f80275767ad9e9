"""The same answers and the same errors over gRPC, and a shutdown with both servers up."""

import contextlib
import signal
import socket
import subprocess
import sys
import time

import grpc
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from demo.servers import HOST


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for taken in sockets:
            taken.bind((HOST, 0))
        return [taken.getsockname()[1] for taken in sockets]


@pytest.fixture(scope="module")
def stub_and_process(fp32):
    http_port, grpc_port = free_ports(2)
    command = [sys.executable, "-m", "predictor", "--model_dir", str(fp32), "--host", HOST]
    command += ["--http_port", str(http_port), "--grpc_port", str(grpc_port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with grpc.insecure_channel(f"{HOST}:{grpc_port}") as channel:
            stub = GRPCInferenceServiceStub(channel)
            deadline = time.monotonic() + 60
            while True:
                try:
                    assert stub.ModelReady(pb.ModelReadyRequest(name="qa"), timeout=5).ready
                    break
                except grpc.RpcError:
                    assert time.monotonic() < deadline
                    assert process.poll() is None
                    time.sleep(0.2)
            yield stub, process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def request(question, model="qa", **parameters):
    message = pb.ModelInferRequest(model_name=model, id="mine")
    for name, text in (("question", question), ("context", b"The pig built a house of straw.")):
        tensor = message.inputs.add(name=name, datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(text)
    for name, value in parameters.items():
        message.parameters[name].int64_param = value
    return message


def test_an_answer_with_timings(stub_and_process):
    stub, _ = stub_and_process
    response = stub.ModelInfer(request(b"What was the house built of?"), timeout=30)
    outputs = {output.name: output.contents for output in response.outputs}
    assert response.id == "mine"
    assert list(outputs["answer"].bytes_contents) == [b"straw"]
    assert list(outputs["start"].int64_contents) == [25]
    assert "run;dur=" in response.parameters["server_timing"].string_param


def test_requested_outputs(stub_and_process):
    stub, _ = stub_and_process
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


def test_no_client_takes_the_model_away(stub_and_process):
    stub, _ = stub_and_process
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
def test_bad_requests(stub_and_process, message, code):
    stub, _ = stub_and_process
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(message, timeout=30)
    assert caught.value.code() == code


def test_sigterm_stops_both_servers(stub_and_process):
    stub, process = stub_and_process
    assert stub.ServerLive(pb.ServerLiveRequest(), timeout=5).live
    process.send_signal(signal.SIGTERM)
    assert process.wait(45) == 0
