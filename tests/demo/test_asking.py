"""Asking: real predictors, and servers that answer something else."""

import asyncio
import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo.page.asking import AskError, Model, ask_all
from demo.page.describing import Catalogue, describe
from demo.servers import running
from loadtest.errors import OptionError
from loadtest.local.servers import HOST, free_ports, stop
from loadtest.targets import Target
from tests.conftest import FAKE_SESSION

TEXT = "The second little pig worked a little bit harder."


@contextlib.contextmanager
def answering(status, body, headers=()):
    """A server that answers whatever it is asked alike; yields its model."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(status)
            for name, value in (("Content-Length", str(len(body))), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Model(Target("odd", f"http://{HOST}:{server.server_port}"))
        finally:
            server.shutdown()
            thread.join()


def run(coroutine, *models):
    """What a coroutine returns; closes its models in the same loop."""

    async def whole():
        try:
            return await coroutine
        finally:
            for model in models:
                await model.close()

    return asyncio.run(whole())


def asked(model, question="Who?", text=TEXT):
    return run(model.ask(question, text), model)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b"<html>", "it answered 500"),
        (429, b'{"error": "the queue\\nis full"}', "it answered 429: the queue is full"),
        (404, b'{"error": {}}', "it answered 404: {}"),
        (400, b"[1]", "it answered 400"),
        (200, b"<html>", "its answer is not JSON"),
        (200, b"[]", "its answer is no JSON object"),
        (200, b"{}", "has not the outputs of a Spanserve predictor"),
        (200, b'{"outputs": [{"name": "answer", "data": ["x"]}]}', "has not the outputs"),
        (200, b'{"outputs": 3}', "has not the outputs"),
    ],
)
def test_an_odd_answer_is_one_line(status, body, said):
    with answering(status, body) as model, pytest.raises(AskError) as caught:
        asked(model)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there():
    (port,) = free_ports(1)
    model = Model(Target("gone", f"http://{HOST}:{port}"))
    with pytest.raises(AskError, match="it cannot be reached"):
        asked(model)
    model = Model(Target("gone", f"http://{HOST}:{port}"))
    assert run(describe(model), model) is None


def test_a_server_without_artifact_is_described_by_its_metadata():
    with answering(200, b'{"platform": "tensorrt_plan", "versions": ["3"]}') as model:
        description = run(describe(model), model)
    assert (description.engine, description.version) == ("tensorrt_plan", "3")
    assert (description.f1, description.model_bytes, description.report) == (None, None, {})


@pytest.mark.parametrize(
    "body", [b'{"versions": 3, "artifact": {"files": 7, "figures": 1}}', b"{}"]
)
def test_odd_metadata_is_no_reason_to_fail(body):
    with answering(200, body) as model:
        assert run(describe(model), model).model_bytes is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": "grpc"}, "target x: the page speaks V2 over HTTP, not grpc"),
        ({"protocol": "v1"}, "not v1"),
        ({"host": "grpc://a:1"}, "is not like http://name:port"),
        ({"host": "qa-predictor"}, "is not like http://name:port"),
        ({"host": "http://a:b"}, "is no URL"),
    ],
)
def test_a_target_that_cannot_be_asked(changes, said):
    target = Target(**({"name": "x", "host": "http://a"} | changes))
    with pytest.raises(OptionError, match=said):
        Model(target)


@pytest.fixture
def served(fake_artifact, tmp_path):
    with running({"fake": fake_artifact}, {"fake": {"session": FAKE_SESSION}}, tmp_path) as (one,):
        yield one


def test_all_are_asked_and_each_has_its_outcome(served):
    (port,) = free_ports(1)
    models = [Model(Target("here", served.url)), Model(Target("gone", f"http://{HOST}:{port}"))]

    async def both():
        catalogue = Catalogue(models)
        found = {place: outcome async for place, outcome in ask_all(models, "Who?", TEXT)}
        return found, await catalogue.of(0, found[0].version), await catalogue.of(1, "")

    found, here, gone = run(both(), *models)
    assert set(found) == {0, 1}
    assert isinstance(found[1], AskError)
    reply = found[0]
    assert set(reply.stages) == {"tokenize", "queue", "run", "extract"}
    assert reply.milliseconds == pytest.approx(sum(reply.stages.values()))
    assert reply.version == here.version == "3"
    assert reply.sequence_length > 8
    for candidate in reply.candidates:
        assert candidate.text == TEXT[candidate.start : candidate.end]
    assert here.model_bytes == len(b"no model, but bytes")
    assert gone is None


def test_what_was_known_of_a_model_stays_known(served):
    model = Model(Target("here", served.url))

    async def twice():
        catalogue = Catalogue([model])
        first = await catalogue.all()
        stop(served.process)
        return first, await catalogue.all()

    first, second = run(twice(), model)
    assert first == second
    assert first[0] is not None


def test_odd_texts_reach_the_model(served):
    target = Target("here", served.url)
    assert asked(Model(target), "\x00 who?", "\u2028 a \x00 𝕏").candidates
    with pytest.raises(AskError, match="it answered 400"):
        asked(Model(target), "Who?", "half \ud800")
