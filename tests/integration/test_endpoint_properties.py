"""Whatever a client sends to the REST server, it gets an answer in time, and never a 500.

Most requests go to the real application in process, without a socket; a few hundred are raw bytes
for a real server.
"""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import generated
from tests.damage import DAMAGES, DENTS, body, damaged
from tests.generated import asks
from tests.integration.asgi import Request, application
from tests.integration.calls import V1, V2
from tests.predictor.codecs.test_properties import INPUTS as CODEC_INPUTS

# Examples in process; a damaged one is three requests.
DAMAGED, ANYTHING, HUNG_UP, BROKEN = 900, 1500, 150, 150
INPUTS = 3 * DAMAGED + ANYTHING + HUNG_UP

SEGMENTS = st.sampled_from(
    ["qa", "1", "3", "v1", "v2", "models", "versions", "infer", "ready", "qa:predict", "qa:explain",
     "", ".", "..", "%00", "%2F", "%FF", "%F0%9F%90%96", "qa%3Apredict", "x" * 3000, "0", "-1",
     "metrics", "artifact", "load", "{model}", "qa;a=b", "*", "%"]
)  # fmt: skip
PATHS = st.sampled_from(
    ["/", "/metrics", "/openapi.json", "/docs", "/v1/models", "/v1/models/qa", V1,
     "/v1/models/qa:explain", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models",
     "/v2/models/qa", "/v2/models/qa/versions/3", "/v2/models/qa/versions/9", V2,
     "/v2/models/qa/versions/3/infer", "/v2/models/qa/versions/9/infer", "/v2/models/qa/ready",
     "/v2/models/qa/versions/3/ready", "/v2/models/qa/artifact", "/v2/models/no/infer",
     "/v2/repository/index", "/v2/repository/models/qa/load", "/v2/repository/models/qa/unload",
     "/openai/v1/models", "/openai/v1/chat/completions", "/timeseries/v1/forecast"]
)  # fmt: skip
METHODS = st.sampled_from(
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "FOO", "get"]
)
JSON = ("content-type", "application/json")
HEADER_NAMES = st.sampled_from(
    ["content-type", "accept", "accept-encoding", "inference-header-content-length", "host",
     "content-length", "content-encoding", "expect", "range", "origin", "authorization", "cookie",
     "ce-specversion", "ce-id", "ce-source", "ce-type", "x-request-id", "if-none-match", "upgrade",
     "access-control-request-method", "transfer-encoding", "x-forwarded-for"]
)  # fmt: skip
HEADER_VALUES = st.sampled_from(
    ["", "0", "5", "-1", "1.0", "application/json", "application/octet-stream", "text/plain",
     "application/cloudevents+json", "application/x-www-form-urlencoded", "gzip", "*/*",
     "multipart/form-data; boundary=x", "application/openmetrics-text; version=1.0.0", "chunked",
     "bytes=0-1", "100-continue", "Bearer x", "9" * 5000, "websocket", "null"]
) | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=8)  # fmt: skip


@pytest.fixture(scope="module")
def client(fake_artifact):
    with application(fake_artifact, "fake") as only:
        yield only


def has_null(value):
    if isinstance(value, dict):
        return any(map(has_null, value.values()))
    return any(map(has_null, value)) if isinstance(value, list) else value is None


def exchange(client, request):
    """Sends a request and checks what comes back as far as any answer can be checked."""
    response = client.send(request)
    assert response.ended
    assert client.tracebacks.messages == []
    asked_for = (503, 504) if b"timeout" in b"".join(request.parts) else ()
    assert response.status < 500 or response.status in asked_for, response
    kind = response.headers.get("content-type", "")
    if response.status >= 400:
        assert kind == "application/json"
        refusal = json.loads(response.content)
        assert list(refusal) == ["error"]
        assert isinstance(refusal["error"], str)
        assert refusal["error"].strip()
    elif kind == "application/json":
        # In the artifact's description a null says something, and no protocol forbids it.
        content = json.loads(response.content)
        assert "artifact" in content or not has_null(content)
    elif kind == "application/octet-stream":
        size = int(response.headers["inference-header-content-length"])
        assert not has_null(json.loads(response.content[:size]))
    return response


def split(content, position):
    """A body in parts."""
    at = position % (len(content) + 1)
    return (content[:at], content[at:])


@settings(max_examples=DAMAGED)
@given(asks(), DAMAGES, DENTS, st.sampled_from(["", "1"]), st.integers(0, 400))
def test_damaged_requests(client, ask, damages, dent, version, position):
    infer = "/v2/models/qa/versions/3/infer" if version else V2
    content = dent(body(damaged(generated.v1(ask), damages)))
    exchange(client, Request("POST", V1, split(content, position), [JSON]))
    content = dent(body(damaged(generated.v2(ask), damages)))
    exchange(client, Request("POST", infer, split(content, position), [JSON]))
    head, raw = generated.v2_binary(ask)
    head = body(damaged(head, damages))
    length = ("inference-header-content-length", str(len(head)))
    exchange(client, Request("POST", infer, split(head + dent(raw), position), [length]))


@st.composite
def bodies(draw):
    """A body that some path may take, or noise."""
    ask = draw(asks())
    return draw(
        st.binary(max_size=50)
        | st.sampled_from([b"", b"{}", b"[]", b"null", body(generated.v1(ask))])
        | st.just(body(generated.v2(ask)))
    )


@st.composite
def requests(draw):
    """Any method, path and headers."""
    target = draw(PATHS)
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        segments = target.split("/")
        at = draw(st.integers(1, len(segments) - 1))
        segments[at : at + draw(st.integers(0, 1))] = [draw(SEGMENTS)]
        target = "/".join(segments)
    target += draw(st.sampled_from(["", "", "", "/", "?", "?verbose=1&%ff=%00"]))
    headers = draw(st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=4))
    method = draw(METHODS | st.sampled_from(["GET", "POST"]))
    return Request(method, target, (draw(bodies()),), headers)


@settings(max_examples=ANYTHING)
@given(requests())
def test_any_request(client, request_):
    exchange(client, request_)


def outcomes(client):
    """How many inference requests ended with each status."""
    (metric,) = (m for m in client.registry.collect() if m.name == "spanserve_requests")
    counts = Counter()
    for sample in metric.samples:
        if sample.name.endswith("_total"):
            counts[sample.labels["status"]] += int(sample.value)
    return counts


@settings(max_examples=HUNG_UP)
@given(asks(), st.sampled_from([V1, V2, "/v2/models/no/infer"]), st.integers(0, 400))
def test_a_client_that_hangs_up_within_its_body(client, ask, path, position):
    content = body(generated.v1(ask) if path == V1 else generated.v2(ask))
    before = outcomes(client)
    request = Request("POST", path, split(content, position)[:1], [JSON], hangs_up=True)
    response = client.send(request)
    assert response.status in (0, 404)
    assert client.tracebacks.messages == []
    assert outcomes(client) - before == {str(response.status or 499): 1}


def test_there_are_20000_inputs():
    assert INPUTS + CODEC_INPUTS >= 20_000
