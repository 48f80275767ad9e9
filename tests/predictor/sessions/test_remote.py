"""RemoteSession against a small server of the protocol that can be told how to misbehave."""

import contextlib
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as services

from predictor.artifact import read_spec
from predictor.batch_plan import ALONE
from predictor.engine import Engine
from predictor.errors import (
    DeadlineExceeded,
    InternalError,
    NotReady,
    QueueFull,
    StartupError,
)
from predictor.sessions.fake import FakeSession
from predictor.sessions.protocol import Remote, SessionOptions
from predictor.sessions.remote import RemoteSession
from predictor.types import Question

SESSION = "remote"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("start_logits", "end_logits")
BATCH = {name: np.arange(12, dtype=np.int64).reshape(3, 4) for name in INPUTS}


class Server(services.GRPCInferenceServiceServicer):
    """FakeSession's logits, unless told otherwise.

    Attributes:
        ready: What it says about the model.
        takes, gives: Its tensors.
        refusal: The status and text of every run, or None.
        calls: Runs so far.
        answered: May be cleared to let runs hang.
        spoil: Changes a response before it is sent.
    """

    def __init__(self):
        self.ready = True
        self.takes = [(name, "INT64", [-1, -1]) for name in INPUTS]
        self.gives = [(name, "FP32", [-1, -1]) for name in OUTPUTS]
        self.refusal = None
        self.calls = 0
        self.answered = threading.Event()
        self.answered.set()
        self.spoil = lambda response: None
        self._session = FakeSession(None, None, SessionOptions())

    def ModelReady(self, request, context):
        named = (request.name, request.version) == ("qa", "3")
        return pb.ModelReadyResponse(ready=self.ready and named)

    def ModelMetadata(self, request, context):
        def tensors(given):
            return [
                pb.ModelMetadataResponse.TensorMetadata(name=n, datatype=d, shape=s)
                for n, d, s in given
            ]

        return pb.ModelMetadataResponse(
            name=request.name, inputs=tensors(self.takes), outputs=tensors(self.gives)
        )

    def ModelInfer(self, request, context):
        self.calls += 1
        self.answered.wait(10)
        if self.refusal:
            context.abort(*self.refusal)
        batch = {
            tensor.name: np.frombuffer(raw, np.int64).reshape(tensor.shape)
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        assert (request.model_name, request.model_version) == ("qa", "3")
        assert [tensor.datatype for tensor in request.inputs] == ["INT64"] * len(batch)
        logits = dict(zip(OUTPUTS, self._session.run(batch), strict=True))
        response = pb.ModelInferResponse(model_name="qa", model_version="3")
        for wanted in request.outputs:
            array = logits[wanted.name]
            response.outputs.add(name=wanted.name, datatype="FP32", shape=array.shape)
            response.raw_output_contents.append(array.tobytes())
        self.spoil(response)
        return response


@contextlib.contextmanager
def listening(server, port=0):
    pool = futures.ThreadPoolExecutor(4)
    listener = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
    services.add_GRPCInferenceServiceServicer_to_server(server, listener)
    port = listener.add_insecure_port(f"127.0.0.1:{port}")
    listener.start()
    try:
        yield port
    finally:
        server.answered.set()
        listener.stop(None).wait()
        pool.shutdown()


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def connect(fake_artifact):
    """Makes a session for a server at a port."""

    def connect(port, spec=None, **changes):
        settings = {"url": f"127.0.0.1:{port}", "timeout": 5.0, "start_seconds": 5.0} | changes
        options = SessionOptions(remote=Remote(**settings))
        return RemoteSession(spec or read_spec(fake_artifact), fake_artifact, options)

    return connect


@pytest.fixture
def session(server, connect):
    with listening(server) as port:
        yield connect(port)


def test_logits_come_back_as_they_were_made(session):
    wanted = FakeSession(None, None, SessionOptions()).run(BATCH)
    found = session.run(BATCH)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs)


def test_an_engine_answers_through_it(server, fake_artifact, fake_engine):
    questions = [Question("Who?", "She did. " * 40), Question("What?", "A word.")]
    with listening(server) as port:
        options = SessionOptions(remote=Remote(f"127.0.0.1:{port}"))
        engine = Engine.load(fake_artifact, session=SESSION, options=options)
        engine.warm_up()
        assert engine.answer(questions)[0] == fake_engine.answer(questions)[0]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("UNAVAILABLE", NotReady),
        ("CANCELLED", NotReady),
        ("NOT_FOUND", NotReady),
        ("RESOURCE_EXHAUSTED", QueueFull),
        ("DEADLINE_EXCEEDED", DeadlineExceeded),
        ("INVALID_ARGUMENT", InternalError),
        ("INTERNAL", InternalError),
        ("UNKNOWN", InternalError),
    ],
)
def test_refusals(session, server, code, error):
    server.refusal = (grpc.StatusCode[code], "the secret reason")
    with pytest.raises(error) as caught:
        session.run(BATCH)
    assert "secret" not in str(caught.value)
    server.refusal = None
    session.run(BATCH)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CANCELLED"])
def test_a_run_is_sent_again_where_the_server_was_not_available(session, server, code):
    server.refusal = (grpc.StatusCode[code], "going")
    with pytest.raises(NotReady):
        session.run(BATCH)
    assert server.calls == 2


def test_a_slow_server(server, connect):
    with listening(server) as port:
        session = connect(port, timeout=0.2)
        server.answered.clear()
        with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.2 s"):
            session.run(BATCH)


def spoil_shape(response):
    response.outputs[0].shape[0] = 1


def spoil_datatype(response):
    response.outputs[1].datatype = "FP16"


def spoil_contents(response):
    del response.raw_output_contents[:]


def spoil_name(response):
    response.outputs[0].name = "logits"


@pytest.mark.parametrize("spoil", [spoil_shape, spoil_datatype, spoil_contents, spoil_name])
def test_an_answer_that_is_none(session, server, spoil):
    server.spoil = spoil
    with pytest.raises(InternalError, match="no logits of the batch's shape"):
        session.run(BATCH)


def test_an_answer_that_is_cut_short(session, server):
    def spoil(response):
        response.raw_output_contents[0] = response.raw_output_contents[0][:-4]

    server.spoil = spoil
    with pytest.raises(InternalError, match="no logits of the batch's shape"):
        session.run(BATCH)


@pytest.mark.parametrize(
    ("side", "change"),
    [
        ("takes", lambda tensors: tensors[:2]),
        ("takes", lambda tensors: [*tensors, ("position_ids", "INT64", [-1, -1])]),
        ("takes", lambda tensors: [(n, "INT32", s) for n, _, s in tensors]),
        ("takes", lambda tensors: [(n, d, [1, 384]) for n, d, _ in tensors]),
        ("gives", lambda tensors: tensors[:1]),
        ("gives", lambda tensors: [(n, "FP16", s) for n, _, s in tensors]),
    ],
)
def test_another_model_is_refused(server, connect, side, change):
    setattr(server, side, change(getattr(server, side)))
    with listening(server) as port, pytest.raises(StartupError) as caught:
        connect(port)
    assert f"qa version 3 at 127.0.0.1:{port} is another model: it {side} " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_model_gives_besides_does_not_matter(server, connect):
    server.gives.append(("hidden", "FP32", [-1, -1, 768]))
    with listening(server) as port:
        connect(port)


def test_a_batch_that_the_server_does_not_take_is_known_at_the_start(session, server):
    session.warm_up()
    server.refusal = (grpc.StatusCode.INVALID_ARGUMENT, "batch-size must\nbe <= 32")
    with pytest.raises(StartupError, match="204 rows of 5 tokens: .* batch-size must be <= 32"):
        session.warm_up()


def test_without_an_address(fake_artifact):
    with pytest.raises(StartupError, match="--remote_url HOST:PORT"):
        RemoteSession(read_spec(fake_artifact), fake_artifact, SessionOptions())


@pytest.mark.parametrize(("model", "why"), [("", "UNAVAILABLE"), ("other", "not loaded")])
def test_a_server_that_never_gets_ready(server, connect, model, why):
    with listening(server) as port:
        given = port if model else 1  # nobody listens there
        with pytest.raises(StartupError, match=f"is not ready after 0 s: .*{why}"):
            connect(given, model=model, start_seconds=0.0)


def test_a_server_that_gets_ready_late_is_waited_for(server, connect):
    server.ready = False
    timer = threading.Timer(0.3, lambda: setattr(server, "ready", True))
    with listening(server) as port:
        timer.start()
        connect(port).run(BATCH)


def test_ready_follows_the_server(server, connect, caplog):
    caplog.set_level("INFO")
    with listening(server) as port:
        session = connect(port)
        assert session.ready()
        server.ready = False
        assert not session.ready()
        server.ready = True
        assert session.ready()
    assert not session.ready()
    with pytest.raises(NotReady):
        session.run(BATCH)
    with listening(server, port):
        deadline = time.monotonic() + 20
        while not session.ready():
            assert time.monotonic() < deadline
        session.run(BATCH)
    messages = [record.getMessage() for record in caplog.records]
    assert sum(message.startswith("not ready: qa version 3") for message in messages) == 2
    assert sum(message.startswith("ready again: qa version 3") for message in messages) == 2


@pytest.mark.parametrize(
    ("changes", "tokens", "overhead"),
    [
        ({"target": "cuda", "precision": "fp16"}, 4096, 4096),
        ({"target": "cpu", "precision": "int8"}, 1024, ALONE),
        ({"target": "cpu", "precision": "fp32"}, 1024, 8),
    ],
)
def test_batches_suit_the_artifacts_target(
    server, connect, make_artifact, changes, tokens, overhead
):
    with listening(server) as port:
        session = connect(port, read_spec(make_artifact(**changes)))
    assert (session.max_batch_tokens, session.run_overhead_tokens) == (tokens, overhead)
