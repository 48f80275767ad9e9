"""What the REST clients make of hosts, errors, headers and connections."""

from __future__ import annotations

import time

import pytest

from loadtest.clients.factory import make_client
from loadtest.clients.rest import error_text
from loadtest.clients.server_timing import parse_server_timing
from loadtest.clients.v2 import V2Client
from loadtest.errors import AnswerError, RefusedError, TargetError, WrongError
from loadtest.prompts import Prompt
from loadtest.targets import Target
from tests.loadtest.qa_server import QAServer

PROMPT = Prompt("who is it", "it is the cat")


@pytest.mark.parametrize(
    ("header", "stages"),
    [
        ("", {}),
        ("run;dur=12.5", {"run": 12.5}),
        ("tokenize;dur=0.4, queue;dur=0, run;dur=12", {"tokenize": 0.4, "queue": 0, "run": 12}),
        ('run;desc="a, b;dur=1";dur=3', {"run": 3}),
        ('run;dur="7.25"', {"run": 7.25}),
        ("cache, run ; DUR = .5", {"run": 0.5}),
        ("run;dur=fast", {}),
    ],
)
def test_parse_server_timing(header: str, stages: dict[str, float]) -> None:
    assert parse_server_timing(header) == stages


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "no model named x"}', "HTTP 404: no model named x"),
        (b'{"error": "two\\nlines"}', "HTTP 404: two lines"),
        (b"<h1>Not\n found</h1>", "HTTP 404: <h1>Not found</h1>"),
        (b'{"detail": 1}', 'HTTP 404: {"detail": 1}'),
        (b"[]", "HTTP 404: []"),
        (b"", "HTTP 404: no reason given"),
        (b"\xff" * 500, "HTTP 404: " + "�" * 200),
    ],
)
def test_error_text(body: bytes, text: str) -> None:
    assert error_text(404, body) == text


@pytest.mark.parametrize("protocol", ["v2", "v2-binary", "v1", "grpc"])
@pytest.mark.parametrize("host", ["", "127.0.0.1:8080", "ftp://host:1", "http://", "http://a:b"])
def test_host_that_is_no_url(protocol: str, host: str) -> None:
    with pytest.raises(TargetError, match="the host"):
        make_client(Target("a", host, protocol), 1)


def test_reply(server: QAServer) -> None:
    client = V2Client(Target("a", server.url, host_header="qa.example.com", token="secret"), 5)
    client.check_ready()
    reply = client.infer(PROMPT)
    client.close()
    assert (reply.sequence_length, reply.server_ms) == (10, {"tokenize": 0.25, "run": 1.5})
    assert reply.size > 0
    assert reply.ended - reply.begun > 0
    assert server.headers[-1]["host"] == "qa.example.com"
    assert server.headers[-1]["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("status", "document", "error", "message"),
    [
        (400, {"error": "no"}, AnswerError, "HTTP 400: no"),
        (429, {"error": "full"}, RefusedError, "HTTP 429: full"),
        (503, {"error": "draining"}, RefusedError, "HTTP 503: draining"),
        (200, {"outputs": [{"name": "sequence_length", "data": []}]}, WrongError, "not one of"),
        (200, {"predictions": []}, WrongError, "not one of the V2 protocol"),
    ],
)
def test_answers_that_are_none(
    server: QAServer, status: int, document: dict[str, object], error: type, message: str
) -> None:
    server.answer = lambda _: (status, document)
    client = V2Client(Target("a", server.url), 5)
    with pytest.raises(error, match=message) as raised:
        client.infer(PROMPT)
    assert type(raised.value) is error
    # The connection is good for another.
    server.answer = server.right_answer
    assert client.infer(PROMPT).sequence_length == 10
    client.close()


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure(server: QAServer) -> None:
    client = V2Client(Target("a", server.url), 5)
    handler = server.RequestHandlerClass
    try:
        # As a server does that keeps no idle connection for long.
        handler.timeout = 0.05  # type: ignore[attr-defined]
        assert client.infer(PROMPT).sequence_length == 10
        time.sleep(0.5)
        assert client.infer(PROMPT).sequence_length == 10
    finally:
        del handler.timeout  # type: ignore[attr-defined]
    client.close()
