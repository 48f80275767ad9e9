"""The Open Inference Protocol, endpoint by endpoint, over REST and gRPC."""

import json
import math
import struct

import grpc
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from tests.integration import oip_schema
from tests.integration.calls import ANSWER, JSON, OVER_THE_LIMIT, V2, Inquiry, ask, call, tensor

INPUTS = [
    {"name": "question", "datatype": "BYTES", "shape": [-1]},
    {"name": "context", "datatype": "BYTES", "shape": [-1]},
]
OUTPUTS = [
    {"name": "answer", "datatype": "BYTES", "shape": [-1, -1]},
    {"name": "score", "datatype": "FP32", "shape": [-1, -1]},
    {"name": "start", "datatype": "INT64", "shape": [-1, -1]},
    {"name": "end", "datatype": "INT64", "shape": [-1, -1]},
    {"name": "null_score_diff", "datatype": "FP32", "shape": [-1]},
    {"name": "sequence_length", "datatype": "INT64", "shape": [-1]},
]
NUMPY = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}
MODEL = {"name": "qa", "ready": True}
UNVERSIONED, VERSIONED = "/v2/models/qa", "/v2/models/qa/versions/1"


def get(server, path, validator):
    """The parsed and valid answer of a GET that succeeds."""
    reply = call(server, "GET", path)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    validator.validate(reply.json)
    return reply.json


def infer(server, body, path=V2):
    """The parsed and valid answer of an inference that succeeds."""
    reply = call(server, "POST", path, body, JSON)
    assert reply.status == 200, reply.content
    assert reply.headers["content-type"] == "application/json"
    oip_schema.INFERENCE_RESPONSE.validate(reply.json)
    return reply.json


def flat(data):
    """Tensor data in row-major order, whether it was nested or not."""
    return [x for row in data for x in flat(row)] if isinstance(data, list) else [data]


def rest_values(body):
    """Output name → its elements, each as its datatype holds it."""
    values = {}
    for output in body["outputs"]:
        elements = flat(output["data"])
        assert len(elements) == math.prod(output["shape"])
        values[output["name"]] = (
            elements
            if output["datatype"] == "BYTES"
            else np.array(elements, NUMPY[output["datatype"]]).tolist()
        )
    return values


def texts(buffer):
    """The elements of a raw BYTES tensor."""
    found = []
    while buffer:
        (size,) = struct.unpack_from("<I", buffer)
        found.append(buffer[4 : 4 + size].decode())
        buffer = buffer[4 + size :]
    return found


def grpc_values(response):
    """Output name → its elements, from typed or raw contents; never both."""
    values = {}
    raws = list(response.raw_output_contents) or [None] * len(response.outputs)
    for output, raw in zip(response.outputs, raws, strict=True):
        contents = output.contents
        assert raw is None or not contents.ByteSize()
        if output.datatype == "BYTES":
            typed = [text.decode() for text in contents.bytes_contents]
            values[output.name] = typed if raw is None else texts(raw)
        elif raw is None:
            typed = contents.fp32_contents if output.datatype == "FP32" else contents.int64_contents
            values[output.name] = list(typed)
        else:
            values[output.name] = np.frombuffer(raw, NUMPY[output.datatype]).tolist()
        assert len(values[output.name]) == math.prod(output.shape)
    return values


def tensors(described):
    """gRPC tensor metadata in REST's form."""
    return [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in described]


def code(method, message):
    """The status of a call that is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        method(message, timeout=30)
    return caught.value.code()


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server_metadata(server, path):
    reply = call(server, "GET", path)
    if path == "/v2/":  # how the protocol's OpenAPI file spells it; a redirect will do
        path = reply.headers["location"] if reply.status in (307, 308) else path
        path = path.removeprefix(server.url)
    metadata = get(server, path, oip_schema.SERVER_METADATA)
    assert metadata["name"]


def test_the_binary_extension_is_announced(server, stub):
    metadata = get(server, "/v2", oip_schema.SERVER_METADATA)
    assert "binary_tensor_data" in metadata["extensions"]
    assert "binary_tensor_data" in stub.ServerMetadata(pb.ServerMetadataRequest()).extensions


def test_server_health(server):
    assert get(server, "/v2/health/live", oip_schema.SERVER_LIVE) == {"live": True}
    assert get(server, "/v2/health/ready", oip_schema.SERVER_READY) == {"ready": True}


@pytest.mark.parametrize("path", [UNVERSIONED, VERSIONED])
def test_model_metadata_and_readiness(server, path):
    metadata = get(server, path, oip_schema.MODEL_METADATA)
    assert metadata["name"] == "qa"
    assert metadata["versions"] == ["1"]
    assert metadata["platform"]
    assert (metadata["inputs"], metadata["outputs"]) == (INPUTS, OUTPUTS)
    assert get(server, f"{path}/ready", oip_schema.MODEL_READY) == MODEL


@pytest.mark.parametrize("path", [UNVERSIONED, VERSIONED])
def test_inference(server, path):
    body = infer(server, ask(top_k=2), f"{path}/infer")
    assert (body["model_name"], body["model_version"]) == ("qa", "1")
    described = [(o["name"], o["datatype"], o["shape"]) for o in body["outputs"]]
    expected = [
        (o["name"], o["datatype"], [1, 2] if len(o["shape"]) == 2 else [1]) for o in OUTPUTS
    ]
    assert described == expected
    assert rest_values(body)["answer"][0] == ANSWER


def test_an_id_is_returned_and_made_where_there_is_none(server):
    assert infer(server, ask() | {"id": "42"})["id"] == "42"
    assert infer(server, ask())["id"] != infer(server, ask())["id"]


QUESTIONS = ["Who worked a little bit harder?", "Who built a house of straw?"]
SHARED = Inquiry().context


@pytest.mark.parametrize(
    ("questions", "shape"),
    [(QUESTIONS, [2]), (QUESTIONS, [2, 1]), ([[q] for q in QUESTIONS], [2, 1])],
    ids=["flat", "flat of two dimensions", "nested"],
)
@pytest.mark.parametrize(
    ("contexts", "context_shape"),
    [(SHARED * 2, [2]), (SHARED * 2, [2, 1]), ([[*SHARED]] * 2, [2, 1]), (SHARED, [1])],
    ids=["flat", "flat of two dimensions", "nested", "shared"],
)
def test_flat_and_nested_data_mean_the_same(server, questions, shape, contexts, context_shape):
    def answers(*inputs):
        return rest_values(infer(server, {"inputs": list(inputs)}))

    given = answers(
        tensor("question", questions, shape=shape),
        tensor("context", list(contexts), shape=context_shape),
    )
    plain = answers(tensor("question", QUESTIONS), tensor("context", list(SHARED * 2)))
    assert given == plain
    assert given["answer"] == [ANSWER, "The first little pig"]


@pytest.mark.parametrize("names", [["answer"], ["end", "start"], ["sequence_length", "answer"]])
def test_requested_outputs(server, stub, names):
    body = infer(server, ask() | {"outputs": [{"name": name} for name in names]})
    assert sorted(o["name"] for o in body["outputs"]) == sorted(names)
    for raw in (False, True):
        response = stub.ModelInfer(Inquiry().grpc(raw=raw, outputs=names), timeout=30)
        assert sorted(o.name for o in response.outputs) == sorted(names)
        assert grpc_values(response) == rest_values(body)


def test_binary_outputs(server):
    reply = call(server, "POST", V2, ask(binary_data_output=True), JSON)
    size = int(reply.headers["inference-header-content-length"])
    head, rest = json.loads(reply.content[:size]), reply.content[size:]
    oip_schema.BINARY_INFERENCE_RESPONSE.validate(head)
    message = pb.ModelInferResponse()
    for output in head["outputs"]:
        length = output["parameters"]["binary_data_size"]
        message.outputs.add(name=output["name"], datatype=output["datatype"], shape=output["shape"])
        message.raw_output_contents.append(rest[:length])
        rest = rest[length:]
    assert rest == b""
    assert grpc_values(message) == rest_values(infer(server, ask()))


@pytest.mark.parametrize(
    "path", ["/v2/models/nobody", "/v2/models/nobody/versions/1", "/v2/models/qa/versions/2"]
)
def test_other_models_and_versions_are_404(server, path):
    for method, end in (("GET", ""), ("GET", "/ready"), ("POST", "/infer")):
        reply = call(server, method, path + end, ask() if method == "POST" else None, JSON)
        assert reply.status == 404
        oip_schema.ERROR.validate(reply.json)


REFUSALS = {
    "unknown path": ("GET", "/v2/nowhere", None, 404),
    "unknown path outside the protocol": ("GET", "/nowhere", None, 404),
    "unknown path of the model": ("GET", f"{UNVERSIONED}/nowhere", None, 404),
    "GET of infer": ("GET", V2, None, 405),
    "GET of infer with version": ("GET", f"{VERSIONED}/infer", None, 405),
    "POST of metadata": ("POST", UNVERSIONED, b"{}", 405),
    "DELETE of the model": ("DELETE", UNVERSIONED, None, 405),
    "PUT of health": ("PUT", "/v2/health/live", b"{}", 405),
    "body over the limit": ("POST", V2, ask(context=OVER_THE_LIMIT), 413),
    "empty body": ("POST", V2, b"", 400),
    "no JSON": ("POST", V2, b'{"inputs": [', 400),
    "list": ("POST", V2, b"[]", 400),
    "null": ("POST", V2, b"null", 400),
    "inputs of a wrong type": ("POST", V2, {"inputs": "question"}, 400),
    "inputs that are null": ("POST", V2, {"inputs": None}, 400),
    "inputs without members": ("POST", V2, {"inputs": [{}]}, 400),
    "input without shape": (
        "POST",
        V2,
        {"inputs": [{"name": "question", "datatype": "BYTES", "data": ["Who?"]}]},
        400,
    ),
    "input without data": (
        "POST",
        V2,
        {"inputs": [{"name": "question", "datatype": "BYTES", "shape": [1]}]},
        400,
    ),
    "shape of strings": ("POST", V2, {"inputs": [tensor("question", ["a"], shape=["x"])]}, 400),
    "shape of fractions": ("POST", V2, {"inputs": [tensor("question", ["a"], shape=[0.5])]}, 400),
    "huge shape": ("POST", V2, {"inputs": [tensor("question", ["a"], shape=[2**70])]}, 400),
    "id of a wrong type": ("POST", V2, ask() | {"id": {}}, 400),
    "parameters of a wrong type": ("POST", V2, ask() | {"parameters": []}, 400),
    "parameter of a wrong type": ("POST", V2, ask(top_k={}), 400),
    "outputs of a wrong type": ("POST", V2, ask() | {"outputs": {"name": "answer"}}, 400),
    "outputs without name": ("POST", V2, ask() | {"outputs": [{}]}, 400),
    "unknown output": ("POST", V2, ask() | {"outputs": [{"name": "nothing"}]}, 400),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_every_refusal_has_the_protocol_s_body(server, case):
    method, path, body, status = REFUSALS[case]
    reply = call(server, method, path, body, JSON)
    assert reply.status == status, reply.content
    assert reply.headers["content-type"] == "application/json"
    oip_schema.ERROR.validate(reply.json)
    assert (status == 405) == ("allow" in reply.headers)


def test_a_compressed_body_is_refused_with_the_protocol_s_body(server):
    headers = JSON | {"Content-Encoding": "gzip"}
    reply = call(server, "POST", V2, b"\x1f\x8b\x08\x00", headers)
    assert reply.status in (400, 415)
    oip_schema.ERROR.validate(reply.json)


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
    rest = get(server, UNVERSIONED, oip_schema.MODEL_METADATA)
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
