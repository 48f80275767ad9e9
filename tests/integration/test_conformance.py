"""The Open Inference Protocol over REST, endpoint by endpoint."""

import pytest

from tests.integration import oip_schema
from tests.integration.answers import binary_values, get, infer, rest_values
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
MODEL_METADATA = {"name": "qa", "platform": "", "inputs": INPUTS, "outputs": OUTPUTS}
RESPONSE = {"model_name": "qa", "id": "42", "outputs": []}
MODEL = {"name": "qa", "ready": True}
UNVERSIONED, VERSIONED = "/v2/models/qa", "/v2/models/qa/versions/1"


@pytest.mark.parametrize(
    ("validator", "answer"),
    [
        (oip_schema.SERVER_METADATA, {"name": "s", "version": "1", "extensions": [None]}),
        (oip_schema.SERVER_READY, {"ready": True, "models": []}),
        (oip_schema.MODEL_METADATA, MODEL_METADATA | {"versions": None}),
        (oip_schema.MODEL_METADATA, MODEL_METADATA | {"inputs": [INPUTS[0] | {"shape": ["n"]}]}),
        (oip_schema.INFERENCE_RESPONSE, {"model_name": "qa", "id": None, "outputs": []}),
        (oip_schema.INFERENCE_RESPONSE, RESPONSE | {"model_version": None}),
        (oip_schema.INFERENCE_RESPONSE, RESPONSE | {"parameters": {"a": None}}),
        (oip_schema.INFERENCE_RESPONSE, RESPONSE | {"outputs": [tensor("a", [[None]])]}),
        (oip_schema.INFERENCE_RESPONSE, RESPONSE | {"outputs": [tensor("a", ["b"], "TEXT")]}),
        (oip_schema.BINARY_INFERENCE_RESPONSE, RESPONSE | {"outputs": [tensor("a", ["b"])]}),
        (oip_schema.ERROR, {"error": "text", "detail": []}),
        (oip_schema.ERROR, {"error": {"text": "nested"}}),
    ],
)
def test_the_schemas_refuse_what_the_protocol_does(validator, answer):
    assert not validator.is_valid(answer)


def test_the_schemas_take_what_the_protocol_does():
    oip_schema.MODEL_METADATA.validate(MODEL_METADATA)
    oip_schema.INFERENCE_RESPONSE.validate(RESPONSE | {"outputs": [tensor("a", [["b"]])]})


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server_metadata(server, path):
    reply = call(server, "GET", path)
    if path == "/v2/" and reply.status in (307, 308):  # as the protocol's OpenAPI file spells it
        path = reply.headers["location"].removeprefix(server.url)
    get(server, path, oip_schema.SERVER_METADATA)


def test_the_binary_extension_is_announced(server):
    metadata = get(server, "/v2", oip_schema.SERVER_METADATA)
    assert "binary_tensor_data" in metadata["extensions"]


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
def test_requested_outputs(server, names):
    body = infer(server, ask() | {"outputs": [{"name": name} for name in names]})
    assert sorted(o["name"] for o in body["outputs"]) == sorted(names)
    everything = rest_values(infer(server, ask()))
    assert rest_values(body) == {name: everything[name] for name in names}


def test_binary_outputs(server):
    reply = call(server, "POST", V2, ask(binary_data_output=True), JSON)
    assert reply.status == 200
    assert binary_values(reply) == rest_values(infer(server, ask()))


def test_binary_inputs(server):
    path, body, headers = Inquiry().v2_binary()
    reply = call(server, "POST", path, body, headers)
    oip_schema.INFERENCE_RESPONSE.validate(reply.json)
    assert rest_values(reply.json) == rest_values(infer(server, ask()))


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
    "explanations": ("POST", "/v1/models/qa:explain", {"instances": []}, 400),
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


def test_a_broken_compressed_body_is_refused_with_the_protocol_s_body(server):
    headers = JSON | {"Content-Encoding": "gzip"}
    reply = call(server, "POST", V2, b"\x1f\x8b\x08\x00", headers)
    assert reply.status == 400
    oip_schema.ERROR.validate(reply.json)
