"""The Open Inference Protocol over gRPC: every call, and the same answers as over REST."""

import grpc
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from tests.integration import oip_schema
from tests.integration.answers import get, grpc_values, infer, rest_values
from tests.integration.calls import Inquiry, ask


def tensors(described):
    """gRPC tensor metadata in REST's form."""
    return [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in described]


def code(method, message):
    """The status of a call that is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        method(message, timeout=30)
    return caught.value.code()


def test_grpc_health(stub):
    assert stub.ServerLive(pb.ServerLiveRequest(), timeout=30).live
    assert stub.ServerReady(pb.ServerReadyRequest(), timeout=30).ready
    for version in ("", "1"):
        assert stub.ModelReady(pb.ModelReadyRequest(name="qa", version=version), timeout=30).ready


def test_grpc_metadata_is_rest_s(server, stub):
    rest = get(server, "/v2", oip_schema.SERVER_METADATA)
    metadata = stub.ServerMetadata(pb.ServerMetadataRequest(), timeout=30)
    assert {
        "name": metadata.name,
        "version": metadata.version,
        "extensions": list(metadata.extensions),
    } == rest


@pytest.mark.parametrize("version", ["", "1"])
def test_grpc_model_metadata_is_rest_s(server, stub, version):
    rest = get(server, "/v2/models/qa", oip_schema.MODEL_METADATA)
    request = pb.ModelMetadataRequest(name="qa", version=version)
    metadata = stub.ModelMetadata(request, timeout=30)
    assert {
        "name": metadata.name,
        "versions": list(metadata.versions),
        "platform": metadata.platform,
        "inputs": tensors(metadata.inputs),
        "outputs": tensors(metadata.outputs),
    } == rest


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("names", [["answer"], ["end", "start"], ["sequence_length", "answer"]])
def test_requested_outputs(server, stub, names, raw):
    response = stub.ModelInfer(Inquiry().grpc(raw=raw, outputs=names), timeout=30)
    everything = rest_values(infer(server, ask()))
    assert grpc_values(response) == {name: everything[name] for name in names}


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("version", ["", "1"])
def test_grpc_inference_is_rest_s(server, stub, raw, version):
    inquiry = Inquiry(parameters={"top_k": 2})
    request = inquiry.grpc(raw=raw, id="42", model_version=version)
    response = stub.ModelInfer(request, timeout=30)
    assert (response.model_name, response.model_version, response.id) == ("qa", "1", "42")
    assert bool(response.raw_output_contents) == raw
    path, body, _ = inquiry.v2_json()
    rest = infer(server, body, path)
    assert [(o.name, o.datatype, list(o.shape)) for o in response.outputs] == [
        (o["name"], o["datatype"], o["shape"]) for o in rest["outputs"]
    ]
    assert grpc_values(response) == rest_values(rest)


def test_grpc_makes_an_id_where_there_is_none(stub):
    ids = {stub.ModelInfer(Inquiry().grpc(), timeout=30).id for _ in range(2)}
    assert len(ids - {""}) == 2


@pytest.mark.parametrize(("name", "version"), [("nobody", ""), ("nobody", "1"), ("qa", "2")])
def test_other_models_and_versions_are_not_found(stub, name, version):
    described = {"name": name, "version": version}
    infer_request = Inquiry(model=name).grpc(model_version=version)
    for method, message in (
        (stub.ModelReady, pb.ModelReadyRequest(**described)),
        (stub.ModelMetadata, pb.ModelMetadataRequest(**described)),
        (stub.ModelInfer, infer_request),
    ):
        assert code(method, message) == grpc.StatusCode.NOT_FOUND


def without_a_buffer():
    message = Inquiry().grpc(raw=True)
    del message.raw_input_contents[1]
    return message


def with_both_contents():
    message = Inquiry().grpc(raw=True)
    message.inputs[0].contents.bytes_contents.append(b"Who?")
    return message


def with_a_cut_buffer():
    message = Inquiry().grpc(raw=True)
    message.raw_input_contents[0] = message.raw_input_contents[0][:-1]
    return message


@pytest.mark.parametrize("message", [without_a_buffer(), with_both_contents(), with_a_cut_buffer()])
def test_raw_contents_that_do_not_fit_are_invalid(stub, message):
    assert code(stub.ModelInfer, message) == grpc.StatusCode.INVALID_ARGUMENT
