"""The outermost layer of REST: bodies, outcomes, and clients that hang up."""

import asyncio

import pytest
from starlette.requests import Request

from predictor.errors import RequestTooLarge
from predictor.rest_api.edge import Edge, protocol_of


class Counter:
    def __init__(self):
        self.outcomes = []

    def outcome(self, protocol, status):
        self.outcomes.append((protocol, status))


def exchange(app, *messages, path="/v2/models/qa/infer", limit=100):
    """What is sent and counted where a client sends these messages, then hangs up."""
    sent, counter = [], Counter()
    incoming = list(messages)

    async def receive():
        await asyncio.sleep(0)
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    edge = Edge(app, max_request_bytes=limit, metrics=counter)
    scope = {"type": "http", "path": path}
    asyncio.run(asyncio.wait_for(edge(scope, receive, send), 10))
    return sent, counter.outcomes


def part(body, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


async def read_all(receive):
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            return body


async def echo(scope, receive, send):
    body = await read_all(receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/v2/models/qa/infer", "v2-rest"),
        ("/v2/models/qa/versions/1/infer", "v2-rest"),
        ("/v1/models/qa:predict", "v1"),
        ("/v2/models/qa/ready", None),
        ("/metrics", None),
    ],
)
def test_inference_paths_have_a_protocol(path, protocol):
    assert protocol_of(path) == protocol


def test_everything_passes_and_is_counted():
    sent, outcomes = exchange(echo, part(b"a" * 60, more=True), part(b"b" * 40))
    assert sent[1]["body"] == b"a" * 60 + b"b" * 40
    assert outcomes == [("v2-rest", "200")]


def test_probes_are_not_counted():
    sent, outcomes = exchange(echo, part(b""), path="/v2/health/live")
    assert sent[0]["status"] == 200
    assert outcomes == []


@pytest.mark.parametrize("path", ["/v2/models/qa/infer", "/anything"])
def test_a_body_over_the_limit_is_refused_where_it_is_read(path):
    raised = []

    async def app(scope, receive, send):
        try:
            await read_all(receive)
        except RequestTooLarge as error:
            raised.append(error)

    exchange(app, part(b"a" * 60, more=True), part(b"b" * 41), path=path)
    assert "larger than 100 bytes" in str(raised[0])


def test_a_client_that_hangs_up_ends_its_request():
    ended = []

    async def app(scope, receive, send):
        await read_all(receive)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    sent, outcomes = exchange(app, part(b"a"))
    assert (ended, sent, outcomes) == ([True], [], [("v2-rest", "499")])


def test_hanging_up_after_the_answer_changes_nothing():
    async def app(scope, receive, send):
        await echo(scope, receive, send)
        await asyncio.sleep(0.01)

    sent, outcomes = exchange(app, part(b"a"))
    assert len(sent) == 2
    assert outcomes == [("v2-rest", "200")]


def test_a_client_that_hangs_up_in_its_body_is_no_defect():
    async def app(scope, receive, send):
        await Request(scope, receive).body()

    sent, outcomes = exchange(app, part(b"a", more=True))
    assert (sent, outcomes) == ([], [("v2-rest", "499")])


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
def test_a_defect_and_a_cancelled_server_task_stay_what_they_are(kind):
    async def app(scope, receive, send):
        raise kind

    counter = Counter()
    edge = Edge(app, max_request_bytes=100, metrics=counter)
    scope = {"type": "http", "path": "/v2/models/qa/infer"}
    with pytest.raises(kind):
        asyncio.run(edge(scope, None, None))
    assert counter.outcomes == [("v2-rest", "500")]
