"""What the client itself costs, in every latency that it measures."""

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gevent

from loadtest.clients.factory import make_client
from loadtest.errors import TargetError
from loadtest.results.stats import Stats
from loadtest.scenarios.texts import assumed
from loadtest.targets import Target

REQUESTS = 300
_WARMUP = 30
_TOKENS = 128
_START_SECONDS = 30


def measure_overhead(protocol: str) -> Stats:
    """Latencies of one sequential user against a server that answers at once, in milliseconds.

    Raises LoadTestError where that server does not start or answer.
    """
    with _instant_server(protocol) as host:
        client = make_client(Target("instant", host, protocol), _START_SECONDS)
        try:
            texts, rng = assumed(), random.Random(0)
            replies = [client.infer(texts.make(_TOKENS, rng)) for _ in range(_WARMUP + REQUESTS)]
        finally:
            client.close()
    stats = Stats.of((reply.ended - reply.begun) * 1e3 for reply in replies[_WARMUP:])
    assert stats is not None
    return stats


@contextlib.contextmanager
def _instant_server(protocol: str) -> Iterator[str]:
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "loadtest.clients.instant"]
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        command + (["--grpc"] if protocol == "grpc" else []),
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        with gevent.Timeout(_START_SECONDS, TargetError("the local server did not start")):
            port = process.stdout.readline().decode().strip()
        if not port:
            raise TargetError("the local server did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        # Reading its output to the end would wait; ended input makes it go, killing makes sure.
        process.kill()
        process.communicate()
