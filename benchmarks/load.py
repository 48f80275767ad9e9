"""A load generator that costs little: prebuilt requests, raw sockets, status and length parsed.

Both loops are closed: a client sends its next request when it has the answer to the last one.
"""

from __future__ import annotations

import gc
import re
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from benchmarks.errors import BenchmarkError
from loadtest.local.servers import HOST

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_READ_BYTES = 1 << 16
_SECONDS = 120


@dataclass
class Load:
    """What a run of requests took.

    Attributes:
        seconds: From the first request to the last answer.
        latencies: Seconds of each request, in the order of the answers.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latencies, in milliseconds."""
        return float(np.percentile(self.latencies, percent)) * 1e3


class Response:
    """One HTTP/1.1 response as it comes in, of which status and length are read."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.status = 0
        self._received = bytearray()
        self._end = 0

    @property
    def body(self) -> bytes:
        """What came after the head."""
        head = self._received.find(b"\r\n\r\n")
        return bytes(self._received[head + 4 :])

    def feed(self, data: bytes) -> bool:
        """Takes what came; true when the response is complete.

        Raises:
            BenchmarkError: The connection was closed, or the head has no length.
        """
        if not data:
            raise BenchmarkError("the server closed the connection before its answer was complete")
        self._received += data
        if not self._end:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return False
            length = _LENGTH.search(self._received, 0, head + 2)
            if length is None:
                raise BenchmarkError("a response without Content-Length")
            self.status = int(self._received[9:12])
            self._end = head + 4 + int(length[1])
        if len(self._received) > self._end:
            raise BenchmarkError("the server sent more than it announced")
        return len(self._received) == self._end


def http_request(
    path: str, body: bytes, *, method: str = "POST", length: int | None = None
) -> bytes:
    """The bytes of a request with a JSON body; `length` announces another size than it has."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    announced = len(body) if length is None else length
    return f"{head}Content-Length: {announced}\r\n\r\n".encode() + body


def lone_client(port: int, requests: Sequence[bytes]) -> Load:
    """One blocking client that sends the requests one after the other.

    Raises:
        BenchmarkError: An answer was not 200.
    """
    load = Load()
    with _connect(port) as connection, _no_collection():
        started = time.perf_counter()
        for request in requests:
            sent = time.perf_counter()
            connection.sendall(request)
            response = Response()
            while not response.feed(connection.recv(_READ_BYTES)):
                pass
            load.latencies.append(time.perf_counter() - sent)
            _expect_200(response)
        load.seconds = time.perf_counter() - started
    return load


def closed_loop(port: int, requests: Sequence[bytes], clients: int) -> Load:
    """Sends all requests once over as many connections as there are clients, in one thread.

    The work is fixed, not the time: what is in flight when a clock stops would be counted wrong.

    Raises:
        BenchmarkError: An answer was not 200, or nothing came for long.
    """
    load = Load()
    selector = selectors.DefaultSelector()
    connections = [_connect(port) for _ in range(min(clients, len(requests)))]
    try:
        left = iter(requests)
        active = {}
        for connection in connections:
            active[connection] = _Client(connection)
            selector.register(connection, selectors.EVENT_READ, active[connection])
        with _no_collection():
            started = time.perf_counter()
            for client in active.values():
                client.send(next(left))
            while len(load.latencies) < len(requests):
                events = selector.select(_SECONDS)
                if not events:
                    raise BenchmarkError(f"no answer came for {_SECONDS} s")
                for key, _ in events:
                    client = key.data
                    if not client.receive():
                        continue
                    load.latencies.append(time.perf_counter() - client.sent)
                    _expect_200(client.response)
                    following = next(left, None)
                    if following is not None:
                        client.send(following)
            load.seconds = time.perf_counter() - started
    finally:
        selector.close()
        for connection in connections:
            connection.close()
    return load


class _Client:
    """A connection of the closed loop, its socket read only when it is ready."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.response = Response()
        self.sent = 0.0

    def send(self, request: bytes) -> None:
        # Blocking, as a request of some kilobytes fits the socket's buffer.
        self.response = Response()
        self.sent = time.perf_counter()
        self._connection.sendall(request)

    def receive(self) -> bool:
        return self.response.feed(self._connection.recv(_READ_BYTES))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps Python's garbage collector out of the latencies."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), timeout=_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _expect_200(response: Response) -> None:
    if response.status != 200:
        text = response.body[:200].decode("utf-8", "replace")
        raise BenchmarkError(f"an answer was {response.status}, not 200: {text}")
