"""The load generator counts what it sends, and takes nothing but 200 for an answer."""

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.load import Load, Response, closed_loop, http_request, lone_client


def numbered(count):
    return [http_request("/x", str(number).encode()) for number in range(count)]


def test_a_lone_client_sends_all_in_order(serve):
    server = serve()
    load = lone_client(server.port, numbered(20))
    assert server.bodies == [str(number).encode() for number in range(20)]
    assert len(load.latencies) == 20
    assert server.most_at_once == 1
    assert sum(load.latencies) <= load.seconds


@pytest.mark.parametrize(("requests", "clients"), [(40, 8), (3, 8), (1, 1)])
def test_the_closed_loop_sends_each_request_once(serve, requests, clients):
    server = serve()
    load = closed_loop(server.port, numbered(requests), clients)
    assert sorted(server.bodies, key=int) == [str(number).encode() for number in range(requests)]
    assert len(load.latencies) == requests
    assert server.most_at_once == min(requests, clients)
    assert load.rate == requests / load.seconds


def pieces(_):
    return [b"HTTP/1.1 200 OK\r\ncontent-", b"length: 5\r\n\r\nab", b"cde"]


@pytest.mark.parametrize("drive", [lone_client, lambda port, r: closed_loop(port, r, 2)])
def test_answers_in_pieces(serve, drive):
    server = serve(pieces)
    assert len(drive(server.port, numbered(4)).latencies) == 4


def refuses_the_third(body):
    if body == b"2":
        return [b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nfull"]
    return pieces(body)


@pytest.mark.parametrize("drive", [lone_client, lambda port, r: closed_loop(port, r, 2)])
def test_another_status_fails_the_run(serve, drive):
    server = serve(refuses_the_third)
    with pytest.raises(BenchmarkError, match="429, not 200: full"):
        drive(server.port, numbered(6))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", "more than it announced"),
    ],
)
def test_a_response_that_is_none(data, problem):
    with pytest.raises(BenchmarkError, match=problem):
        Response().feed(data)


def test_a_length_is_read_from_the_head_alone():
    response = Response()
    assert not response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n")
    assert response.feed(b"\r\ncontent-length: 999\r\n\r\n")
    assert response.status == 200
    assert response.body == b"\r\ncontent-length: 999\r\n\r\n"


def test_percentiles_are_in_milliseconds():
    load = Load(seconds=2.0, latencies=[0.001, 0.002, 0.003, 0.010])
    assert load.percentile_ms(50) == pytest.approx(2.5)
    assert load.rate == 2.0
