"""Real servers under load: draining, hanging up, a full queue, deadlines, metrics and logs."""

import http.client
import json
import re
import signal
import socket
import threading
import time

import grpc
import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from demo.servers import running
from loadtest.local.servers import HOST
from tests.integration.calls import CONTEXT, V1, V2, ask, call, post
from tests.integration.test_grpc import request

SLOW = {"session": "benchmarks.serving.sessions:FixedCostSession"}  # 20 ms a run
WINDOWS = CONTEXT * 30


def metric(server, name):
    """The sum over all samples of a metric whose name and labels start like this."""
    text = call(server, "GET", "/metrics").content.decode()
    lines = [line for line in text.splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


class Load:
    """Clients that ask on until they are told to stop, as behind a load balancer."""

    def __init__(self, server, rest=6, grpc_clients=2):
        self.server = server
        self.serving = threading.Event()
        self.serving.set()
        self.statuses = []
        self.failures = []
        kinds = [self._rest] * rest + [self._grpc] * grpc_clients
        self._threads = [threading.Thread(target=self._guarded, args=(kind,)) for kind in kinds]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.serving.clear()
        for thread in self._threads:
            thread.join(30)

    def _guarded(self, client):
        try:
            client()
        except Exception as error:
            self.failures.append(repr(error))

    def _rest(self):
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=30)
        body = json.dumps(ask(context=CONTEXT * 3))
        while self.serving.is_set():
            connection.request("POST", V2, body)
            response = connection.getresponse()
            response.read()
            self.statuses.append(response.status)

    def _grpc(self):
        with grpc.insecure_channel(f"{HOST}:{self.server.grpc_port}") as channel:
            stub = GRPCInferenceServiceStub(channel)
            while self.serving.is_set():
                stub.ModelInfer(request(b"Who?"), timeout=30)
                self.statuses.append(200)


def is_ready(server):
    return call(server, "GET", "/v2/models/qa/ready").status == 200


@pytest.mark.parametrize("settings", [{}, SLOW], ids=["model", "slow session"])
def test_sigterm_under_load_loses_nothing(fp32, tmp_path, settings):
    settings = {"qa": {**settings, "drain_seconds": 1}}
    with running({"qa": fp32}, settings, tmp_path, grpc=True) as (server,):
        with Load(server) as load:
            time.sleep(1)
            server.process.send_signal(signal.SIGTERM)
            signalled = time.monotonic()
            while is_ready(server):
                time.sleep(0.01)
            assert time.monotonic() - signalled < 0.9  # while it still answers
            time.sleep(0.3)  # what a load balancer takes to notice
        assert server.process.wait(20) == 0
    assert load.failures == []
    assert len(load.statuses) > 20
    assert set(load.statuses) == {200}


def test_what_is_queued_is_answered_though_nothing_new_is_accepted(fp32, tmp_path):
    statuses = []
    with running({"qa": fp32}, {"qa": SLOW | {"batching": "off"}}, tmp_path) as (server,):

        def client():
            statuses.append(post(server, V2, json.dumps(ask(context=WINDOWS)))[0])

        clients = [threading.Thread(target=client) for _ in range(8)]
        for thread in clients:
            thread.start()
        while metric(server, "spanserve_in_flight ") < 8:
            time.sleep(0.01)
        assert metric(server, "spanserve_queue_requests ") >= 7
        server.process.send_signal(signal.SIGTERM)
        for thread in clients:
            thread.join(30)
        assert server.process.wait(20) == 0
        with pytest.raises(ConnectionRefusedError):
            is_ready(server)
    assert statuses == [200] * 8


def test_a_second_signal_ends_the_draining(fp32, tmp_path):
    with running({"qa": fp32}, {"qa": SLOW | {"drain_seconds": 60}}, tmp_path) as (server,):
        server.process.send_signal(signal.SIGTERM)
        while is_ready(server):
            time.sleep(0.01)
        reply = call(server, "POST", V2, ask())
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0


def test_grpc_closes_with_rest_and_signals_lose_nothing(fp32, tmp_path):
    outcomes = {}
    settings = SLOW | {"batching": "off", "max_queue_tokens": 200_000}
    with (
        running({"qa": fp32}, {"qa": settings}, tmp_path, grpc=True) as (server,),
        grpc.insecure_channel(f"{HOST}:{server.grpc_port}") as channel,
        grpc.insecure_channel(
            f"{HOST}:{server.grpc_port}", [("grpc.use_local_subchannel_pool", 1)]
        ) as other,
    ):

        def rest():
            outcomes["rest"] = post(server, V2, json.dumps(ask(context=WINDOWS * 40)))[0]

        def infer():
            message = request(b"Who?")
            message.inputs[1].contents.bytes_contents[0] = WINDOWS.encode() * 75
            reply = GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=60)
            outcomes["grpc"] = reply.model_name

        # The other channel has no call in flight: nothing but the listener lets its next one in.
        grpc.channel_ready_future(other).result(timeout=30)
        told = threading.Event()
        other.subscribe(lambda state: state != grpc.ChannelConnectivity.READY and told.set())
        clients = [threading.Thread(target=client) for client in (rest, infer)]
        for thread in clients:
            thread.start()
        while metric(server, "spanserve_in_flight ") < 2:
            time.sleep(0.01)
        assert not told.is_set()
        server.process.send_signal(signal.SIGTERM)
        wait_closed(server)
        # gRPC itself cancels a call that crosses the server's farewell on the way.
        assert told.wait(10)
        assert outcomes == {}  # both are still in flight
        with pytest.raises(grpc.RpcError) as refused:
            GRPCInferenceServiceStub(other).ModelInfer(request(b"Who?"), timeout=5)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        while clients[0].is_alive():
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        clients[1].join(60)
        assert server.process.wait(20) == 0
    assert outcomes == {"rest": 200, "grpc": "qa"}


def wait_closed(server):
    while True:
        try:
            socket.create_connection((HOST, server.port), timeout=5).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)


@pytest.fixture(scope="module")
def slow(fp32, tmp_path_factory):
    """A server with a small queue, whose every run takes 20 ms."""
    small = {"batching": "off", "max_queue_requests": 3, "max_queue_tokens": 60_000}
    settings = {"qa": SLOW | small | {"log_level": "debug"}}
    logs = tmp_path_factory.mktemp("slow")
    with running({"qa": fp32}, settings, logs, grpc=True) as (server,):
        yield server


def send(server, body):
    """A connection on which a request is on its way."""
    connection = socket.create_connection((HOST, server.port), timeout=30)
    content = json.dumps(body).encode()
    head = f"POST {V2} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


def busy(server):
    """Occupies the session: a request of a hundred runs, two seconds."""
    before = metric(server, "spanserve_batch_rows_sum")
    connection = send(server, ask(context=WINDOWS * 30))
    while metric(server, "spanserve_batch_rows_sum") == before:
        time.sleep(0.005)
    return connection


def idle(server):
    while metric(server, "spanserve_in_flight "):
        time.sleep(0.01)


def test_clients_that_hang_up_cost_no_runs(slow):
    idle(slow)
    gone = metric(slow, 'spanserve_requests_total{protocol="v2-rest",status="499"}')
    first = busy(slow)
    before = metric(slow, "spanserve_batch_rows_sum")
    first.close()
    idle(slow)
    assert metric(slow, "spanserve_batch_rows_sum") - before <= 4
    assert metric(slow, 'spanserve_requests_total{protocol="v2-rest",status="499"}') == gone + 1


def test_a_cancelled_grpc_call_costs_no_runs(slow):
    idle(slow)
    with grpc.insecure_channel(f"{HOST}:{slow.grpc_port}") as channel:
        message = request(b"Who?")
        message.inputs[1].contents.bytes_contents[0] = (WINDOWS * 2).encode()
        future = GRPCInferenceServiceStub(channel).ModelInfer.future(message, timeout=30)
        while metric(slow, "spanserve_in_flight ") < 1:
            time.sleep(0.005)
        before = metric(slow, "spanserve_batch_rows_sum")
        future.cancel()
        idle(slow)
    assert metric(slow, "spanserve_batch_rows_sum") - before <= 3
    assert metric(slow, 'spanserve_requests_total{protocol="v2-grpc",status="CANCELLED"}') >= 1


def test_a_full_queue_is_429_with_retry_after_and_resource_exhausted(slow):
    idle(slow)
    waiting = [busy(slow)] + [send(slow, ask(context=WINDOWS)) for _ in range(2)]
    while metric(slow, "spanserve_queue_requests ") < 3:
        time.sleep(0.005)
    for path in (V2, V1):
        body = ask() if path == V2 else {"instances": [{"question": "Who?", "context": CONTEXT}]}
        reply = call(slow, "POST", path, body)
        assert reply.status == 429
        assert int(reply.headers["retry-after"]) >= 1
        assert "wait already" in reply.json["error"]
    with grpc.insecure_channel(f"{HOST}:{slow.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            GRPCInferenceServiceStub(channel).ModelInfer(request(b"Who?"), timeout=30)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert dict(refused.value.trailing_metadata())["retry-after"]
    for connection in waiting:
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.close()


def test_late_work_is_504_and_deadline_exceeded_and_not_computed(slow):
    idle(slow)
    before = metric(slow, "spanserve_batch_rows_sum")
    status, answer = post(slow, V2, json.dumps(ask(timeout=1)))
    assert (status, list(answer)) == (504, ["error"])
    with grpc.insecure_channel(f"{HOST}:{slow.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            GRPCInferenceServiceStub(channel).ModelInfer(request(b"Who?", timeout=1), timeout=30)
        assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert metric(slow, "spanserve_batch_rows_sum") == before


def test_a_request_over_the_token_limit_is_413(slow):
    idle(slow)
    status, answer = post(slow, V2, json.dumps(ask(context=CONTEXT * 2400)))
    assert status == 413
    assert "60000 tokens" in answer["error"]


def test_logs_are_json_with_a_line_per_refusal_and_none_per_probe(slow):
    idle(slow)
    seen = len(slow.log.read_text())
    is_ready(slow)
    call(slow, "GET", "/v2/health/live")
    post(slow, V2, json.dumps(ask(top_k=0)))
    post(slow, V2, json.dumps(ask()))
    deadline = time.monotonic() + 5
    while len(lines := slow.log.read_text()[seen:].splitlines()) < 3:
        assert time.monotonic() < deadline, lines
        time.sleep(0.02)
    records = [json.loads(line) for line in lines]
    seen = [(r["level"], r["status"], r["path"]) for r in records]
    assert seen == [("warning", 400, V2), ("debug", 400, V2), ("debug", 200, V2)]
    assert "top_k" in records[0]["message"]


def test_every_documented_metric_is_there(slow):
    text = call(slow, "GET", "/metrics").content.decode()
    names = set(re.findall(r"^# TYPE (spanserve_\w+) ", text, re.MULTILINE))
    assert {name for name in names if not name.endswith("_created")} == {
        "spanserve_stage_seconds",
        "spanserve_batch_rows",
        "spanserve_batch_tokens",
        "spanserve_batch_padding_ratio",
        "spanserve_cpu_info",
        "spanserve_queue_requests",
        "spanserve_queue_tokens",
        "spanserve_in_flight",
        "spanserve_requests_total",
    }
