"""Triton's clients, as they are: HTTP, and gRPC in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton

from loadtest.local.servers import HOST
from tests.integration.answers import flat_texts, infer, rest_values
from tests.integration.calls import ANSWER, CONTEXT, QUESTION, Inquiry, ask

OTHER = "Who built a house of straw?"
NO_ANSWER = {"answer": [""], "start": [0], "end": [0]}
TRITON_GRPC = Path(__file__).with_name("triton_grpc.py")


@pytest.fixture(scope="module")
def expected_batch(server):
    inquiry = Inquiry(question=[QUESTION, OTHER])
    path, body, _ = inquiry.v2_json()
    values = rest_values(infer(server, body, path))
    assert values["answer"] == [ANSWER, "The first little pig"]
    return values


@pytest.fixture
def http_client(server):
    with triton.InferenceServerClient(f"{HOST}:{server.port}") as client:
        yield client


def triton_inputs(questions, binary):
    tensors = []
    for name, texts in (("question", questions), ("context", [CONTEXT])):
        tensor = triton.InferInput(name, [len(texts)], "BYTES")
        # Binary tensors are bytes, those in JSON are text.
        array = np.array([t.encode() if binary else t for t in texts], np.object_)
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    return tensors


def triton_values(result):
    return {
        o["name"]: flat_texts(result.as_numpy(o["name"])) for o in result.get_response()["outputs"]
    }


@pytest.mark.parametrize("binary_inputs", [True, False])
@pytest.mark.parametrize("binary_outputs", [True, False, None])
def test_triton_http(http_client, expected, binary_inputs, binary_outputs):
    """Inputs and outputs in either form; without named outputs the client wants all in binary."""
    outputs = None
    if binary_outputs is not None:
        outputs = [triton.InferRequestedOutput(n, binary_data=binary_outputs) for n in expected]
    result = http_client.infer("qa", triton_inputs([QUESTION], binary_inputs), outputs=outputs)
    assert triton_values(result) == expected
    named = result.get_response()["outputs"]
    assert {"data" not in output for output in named} == {binary_outputs is not False}


def test_triton_http_with_requested_outputs_in_both_forms(http_client, expected):
    outputs = [
        triton.InferRequestedOutput("score", binary_data=True),
        triton.InferRequestedOutput("answer", binary_data=False),
    ]
    result = http_client.infer("qa", triton_inputs([QUESTION], True), outputs=outputs)
    assert triton_values(result) == {name: expected[name] for name in ("score", "answer")}


@pytest.mark.parametrize(
    "options",
    [
        {"model_version": "1"},
        {"request_compression_algorithm": "gzip"},
        {"request_compression_algorithm": "deflate"},
        {"response_compression_algorithm": "gzip"},
        {"response_compression_algorithm": "deflate"},
        {"timeout": 20_000_000},
        {"priority": 1},
        {"sequence_id": 7, "sequence_start": True, "sequence_end": True},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("binary", [True, False])
def test_triton_http_options(http_client, expected, options, binary):
    inputs = triton_inputs([QUESTION], binary)
    result = http_client.infer("qa", inputs, request_id="mine", **options)
    assert triton_values(result) == expected
    response = result.get_response()
    assert (response["model_name"], response["model_version"]) == ("qa", "1")
    assert response["id"] == "mine"


def test_triton_http_batch_and_parameters(http_client, expected_batch):
    inputs = triton_inputs([QUESTION, OTHER], True)
    assert triton_values(http_client.infer("qa", inputs)) == expected_batch
    result = http_client.infer("qa", inputs, parameters={"top_k": 3})
    assert result.as_numpy("answer").shape == (2, 3)
    result = http_client.infer(
        "qa", triton_inputs([QUESTION], True), parameters={"null_score_diff_threshold": -1000.0}
    )
    assert triton_values(result) | NO_ANSWER == triton_values(result)


def test_triton_http_async(http_client, expected):
    requests = [http_client.async_infer("qa", triton_inputs([QUESTION], True)) for _ in range(4)]
    assert [triton_values(request.get_result()) for request in requests] == [expected] * 4


def test_triton_http_readiness_and_metadata(http_client):
    assert http_client.is_server_live()
    assert http_client.is_server_ready()
    assert http_client.is_model_ready("qa")
    assert http_client.is_model_ready("qa", "1")
    assert not http_client.is_model_ready("qa", "2")
    assert not http_client.is_model_ready("nobody")
    metadata = http_client.get_model_metadata("qa")
    assert metadata == http_client.get_model_metadata("qa", "1")
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["question", "context"]
    assert "binary_tensor_data" in http_client.get_server_metadata()["extensions"]


@pytest.mark.parametrize(
    ("model", "question", "options", "status"),
    [
        ("qa", "", {}, "400"),
        ("qa", "Who?", {"parameters": {"top_k": 0}}, "400"),
        ("qa", "Who?", {"model_version": "2"}, "404"),
        ("nobody", "Who?", {}, "404"),
        ("qa", "Who?", {"timeout": 1}, "504"),
    ],
)
def test_triton_http_shows_our_refusals(http_client, model, question, options, status):
    with pytest.raises(triton.InferenceServerException) as caught:
        http_client.infer(model, triton_inputs([question], True), **options)
    assert caught.value.status().startswith(status)
    assert "exception occurred in the client" not in caught.value.message()


@pytest.fixture(scope="module")
def triton_grpc(server):
    """Scenario → outcome."""
    done = subprocess.run(
        [sys.executable, str(TRITON_GRPC), f"{HOST}:{server.grpc_port}"],
        input=json.dumps([QUESTION, CONTEXT, OTHER]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "scenario", ["raw", "typed", "version", "gzip", "enough time", "priority", "sequence"]
)
def test_triton_grpc(triton_grpc, expected, scenario):
    outcome = triton_grpc[scenario]
    assert outcome.get("values") == expected, outcome
    assert (outcome["version"], outcome["id"]) == ("1", "mine")


def test_triton_grpc_requested_outputs(triton_grpc, expected):
    outcome = triton_grpc["requested outputs"]
    assert outcome["values"] == {name: expected[name] for name in ("end", "answer")}


def test_triton_grpc_batch(triton_grpc, expected_batch):
    assert triton_grpc["batch"].get("values") == expected_batch, triton_grpc["batch"]


def test_triton_grpc_top_k(server, triton_grpc):
    expected = rest_values(infer(server, ask(top_k=2)))
    assert triton_grpc["top_k"].get("values") == expected, triton_grpc["top_k"]


# KServe's gRPC messages have no floating-point parameter, the protocol's own and Triton's have.
@pytest.mark.parametrize("scenario", ["threshold as string", "threshold as float"])
def test_triton_grpc_threshold(triton_grpc, scenario):
    outcome = triton_grpc[scenario]
    values = outcome.get("values", {})
    assert values | NO_ANSWER == values, outcome


@pytest.mark.parametrize(
    ("scenario", "status"),
    [
        ("no time on the server", "StatusCode.DEADLINE_EXCEEDED"),
        ("no time at the client", "StatusCode.DEADLINE_EXCEEDED"),
        ("unknown version", "StatusCode.NOT_FOUND"),
        ("empty question", "StatusCode.INVALID_ARGUMENT"),
    ],
)
def test_triton_grpc_shows_our_refusals(triton_grpc, scenario, status):
    assert triton_grpc[scenario].get("status") == status, triton_grpc[scenario]


def test_triton_grpc_readiness_and_metadata(triton_grpc):
    for who in ("server is live", "server is ready", "model is ready", "version is ready"):
        assert triton_grpc[who] is True
    assert triton_grpc["server metadata"]["name"]
    metadata = triton_grpc["model metadata"]
    assert metadata == triton_grpc["version's metadata"]
    assert metadata["name"] == "qa"
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["question", "context"]
