"""The mix of a soak, how a shot is sent, and the probes beside it."""

import asyncio
import time
from collections import Counter

import pytest

from benchmarks.load import http_request
from benchmarks.soak.prober import PATHS, probing
from benchmarks.soak.senders import HUNG_UP, NO_ANSWER, Sender
from benchmarks.soak.traffic import MAX_QUEUE_TOKENS, MAX_REQUEST_BYTES, PROTOCOLS, Shot, Traffic
from loadtest.local.servers import free_ports

KINDS = {
    "valid", "many-questions", "many-windows", "short-timeout", "invalid", "huge-body",
    "huge-context", "hang-up-midway", "hang-up-after",
}  # fmt: skip


def test_the_mix(make_artifact):
    traffic = Traffic(make_artifact(max_seq_length=512, doc_stride=128), 3)
    shots = [traffic.pick() for _ in range(6000)]
    kinds = Counter(shot.kind for shot in shots)
    assert set(kinds) == KINDS
    assert kinds["valid"] / len(shots) == pytest.approx(0.68, abs=0.03)
    for kind in KINDS:
        seen = {shot.protocol for shot in shots if shot.kind == kind}
        assert seen == set(PROTOCOLS)

    working = [traffic.pick(("valid", "many-questions", "many-windows")) for _ in range(6000)]
    mean = sum(shot.tokens for shot in working) / len(working)
    assert traffic.mean_working_tokens() == pytest.approx(mean, rel=0.15)
    assert traffic.most_tokens() == max(shot.tokens for shot in working)
    assert all(shot.tokens > 3000 for shot in working if shot.kind == "many-windows")
    assert traffic.most_tokens() < MAX_QUEUE_TOKENS

    for shot in shots:
        if shot.kind == "huge-body":
            assert len(shot.payload) > MAX_REQUEST_BYTES
        if shot.kind == "huge-context":
            assert len(shot.payload) < MAX_REQUEST_BYTES
            assert shot.payload.count(b"pigs") > MAX_QUEUE_TOKENS
    gaps = [traffic.gap(20.0) for _ in range(4000)]
    assert sum(gaps) / len(gaps) == pytest.approx(1 / 20, rel=0.1)


def send(port, *shots):
    async def all_of_them():
        sender = Sender(port, free_ports(1)[0], 1)
        try:
            return [await sender.send(shot) for shot in shots]
        finally:
            await sender.close()

    return asyncio.run(all_of_them())


def shot(kind="valid", body=b"abcdef" * 100):
    return Shot(kind, "v2", http_request("/x", body))


@pytest.mark.parametrize(
    ("answer", "status", "retry_after", "text"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, False, ""),
        (b"HTTP/1.1 429 x\r\nRetry-After: 1\r\ncontent-length: 4\r\n\r\nfull", 429, True, "full"),
        (b"HTTP/1.1 429 x\r\nContent-Length: 4\r\n\r\nfull", 429, False, "full"),
    ],
)
def test_an_answer_is_read(serve, answer, status, retry_after, text):
    (outcome,) = send(serve(lambda _: [answer]).port, shot())
    assert (outcome.status, outcome.retry_after, outcome.text) == (status, retry_after, text)
    assert outcome.seconds > 0


def test_clients_that_hang_up(serve):
    server = serve()
    outcomes = send(server.port, shot("hang-up-midway"), shot("hang-up-after"), shot())
    assert [outcome.status for outcome in outcomes] == [HUNG_UP, HUNG_UP, 200]
    assert server.cut == 1
    assert server.bodies == [b"abcdef" * 100] * 2


def test_a_server_that_breaks_off(serve):
    server = serve(lambda _: [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"])
    server.close_after_answer = True
    (outcome,) = send(server.port, shot())
    assert outcome.status == NO_ANSWER
    assert "IncompleteReadError" in outcome.text


def test_nobody_listens():
    port = free_ports(1)[0]
    over_grpc = Shot("valid", "grpc", b"")
    rest, grpc = send(port, shot(), over_grpc)
    assert (rest.status, grpc.status) == (NO_ANSWER, 503)


def test_probes_come_on_one_connection(serve):
    server = serve()
    with probing(server.port) as probes:
        deadline = time.monotonic() + 30
        while len(server.bodies) < 3 * len(PATHS) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not probes.failures
    assert len(probes.seconds) == len(server.bodies) >= 3 * len(PATHS)
    assert server.connections == 1


def test_probes_that_fail(serve):
    server = serve(lambda _: [b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n"])
    with probing(server.port) as probes:
        deadline = time.monotonic() + 30
        while len(server.bodies) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert set(probes.failures) <= {f"{path}: 503" for path in PATHS}
    assert len(probes.failures) == len(server.bodies)
