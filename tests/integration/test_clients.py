"""KServe's clients and curl, as they are: all get the same answers."""

import asyncio
import json
import shutil
import subprocess

import kserve
import numpy as np
import pytest
from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient, RESTConfig

from loadtest.local.servers import HOST
from tests.integration.answers import flat_texts, rest_values
from tests.integration.calls import CONTEXT, OVER_THE_LIMIT, QUESTION, V1, V2, ask

# KServe


def kserve_request(binary):
    tensors = []
    for name, text in (("question", QUESTION), ("context", CONTEXT)):
        tensor = kserve.InferInput(name, [1], "BYTES", [text])
        if binary:
            tensor = kserve.InferInput(name, [1], "BYTES")
            tensor.set_data_from_numpy(np.array([text.encode()], np.object_), binary_data=True)
        tensors.append(tensor)
    return kserve.InferRequest("qa", tensors, request_id="mine")


def kserve_values(response):
    assert (response.id, response.model_name) == ("mine", "qa")
    return {output.name: flat_texts(output.as_numpy()) for output in response.outputs}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("binary_outputs", [True, False])
def test_kserve_rest_v2(server, expected, binary, binary_outputs):
    request = kserve_request(binary)
    request.parameters = {"binary_data_output": binary_outputs}

    async def conversation():
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            assert await client.is_server_live(server.url)
            assert await client.is_server_ready(server.url)
            assert await client.is_model_ready(server.url, "qa")
            assert not await client.is_model_ready(server.url, "nobody")
            return await client.infer(server.url, request, model_name="qa")

    assert kserve_values(asyncio.run(conversation())) == expected


def v1_values(body):
    """One prediction in V2's words."""
    (prediction,) = body["predictions"]
    return {name: [value] for name, value in prediction.items()} | {
        "score": [float(np.float32(prediction["score"]))]
    }


def test_kserve_rest_v1(server, expected):
    async def conversation():
        async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
            assert await client.is_server_live(server.url)
            assert await client.is_model_ready(server.url, "qa")
            instances = {"instances": [{"question": QUESTION, "context": CONTEXT}]}
            return await client.infer(server.url, instances, model_name="qa")

    values = v1_values(asyncio.run(conversation()))
    assert values == {name: expected[name] for name in ("answer", "score", "start", "end")}


@pytest.mark.parametrize("raw", [True, False])
def test_kserve_grpc(server, expected, raw):
    async def conversation():
        async with InferenceGRPCClient(f"{HOST}:{server.grpc_port}") as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("qa")
            return await client.infer(kserve_request(raw), timeout=30)

    assert kserve_values(asyncio.run(conversation())) == expected


# curl


def curl(url, body, *options):
    """The status and the parsed answer; the body comes from stdin, as it may be large."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("there is no curl on this machine")
    done = subprocess.run(
        [program, "--silent", "--show-error", "--write-out", "\n%{http_code}", *options]
        + ["--data-binary", "@-", url],
        input=body,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    content, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(content)


CONTENT_TYPES = {
    "curl's own": [],
    "none": ["-H", "Content-Type:"],
    "JSON": ["-H", "Content-Type: application/json"],
    "JSON with charset": ["-H", "Content-Type: application/json; charset=utf-8"],
}


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
@pytest.mark.parametrize("more", [[], ["--compressed"], ["--http1.0"]], ids=" ".join)
def test_curl_v2(server, expected, content_type, more):
    body = json.dumps(ask())
    status, answer = curl(f"{server.url}{V2}", body, *CONTENT_TYPES[content_type], *more)
    assert status == 200
    assert rest_values(answer) == expected


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_curl_v1(server, expected, content_type):
    body = json.dumps({"instances": [{"question": QUESTION, "context": CONTEXT}]})
    status, answer = curl(f"{server.url}{V1}", body, *CONTENT_TYPES[content_type])
    assert status == 200
    values = v1_values(answer)
    assert values == {name: expected[name] for name in ("answer", "score", "start", "end")}


@pytest.mark.parametrize("path", [V1, V2])
def test_curl_is_told_that_a_body_is_too_large(server, path):
    """It announces such a body with `Expect: 100-continue` and reads the answer while it sends."""
    status, answer = curl(f"{server.url}{path}", json.dumps(ask(context=OVER_THE_LIMIT)))
    assert (status, list(answer)) == (413, ["error"])
