"""`python -m benchmarks.soak`: does the server stay whole under twice the load it can take?

Method
- A predictor with the embedded checkpoint in fp32, REST and gRPC, on one core; the load generator
  and a process that probes liveness and readiness every 100 ms on another.
- The capacity is found first: a closed loop of valid requests, in tokens answered per second.
- Then requests arrive at random (Poisson), whether or not others were answered, so that the valid
  ones alone ask for twice the capacity. Mixed in are long, invalid and huge ones, clients that hang
  up midway or right after sending, and short timeouts, on V1, V2 and gRPC (traffic.py).
- What must hold then is in verdict.py. Latency counts from a request's arrival.
- At the end the server must be idle, answer on every protocol, and exit with 0 on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.artifact import embedded_artifact
from benchmarks.errors import BenchmarkError
from benchmarks.output import say
from benchmarks.processes import Cores, ServerProcess, pinned, predictor, running
from benchmarks.soak.overload import Overload
from benchmarks.soak.prober import Probes, probing
from benchmarks.soak.senders import Sender
from benchmarks.soak.traffic import MAX_QUEUE_TOKENS, MAX_REQUEST_BYTES, PROTOCOLS, Traffic
from benchmarks.soak.verdict import (
    Check,
    QueueBound,
    answered_tokens,
    check_goodput,
    check_latency,
    check_memory,
    check_probes,
    check_statuses,
    status_table,
)
from loadtest.signals import exit_on_signals
from predictor.batching.feature_queue import BATCHES_AHEAD
from predictor.sessions.batch_size import cpu_batch_tokens

SETTINGS = {
    "enable_grpc": "true",
    "batching": "on",
    "max_queue_tokens": MAX_QUEUE_TOKENS,
    "max_queue_requests": 1024,
    "max_request_bytes": MAX_REQUEST_BYTES,
    "grpc_max_receive_message_length": MAX_REQUEST_BYTES,
    "request_timeout": 60,
}
_SEED = 77
_IDLE_SECONDS = 30
_IDLE_SHARE = 0.05
_WATCH_SECONDS = 2
_EXIT_SECONDS = 60
_GAUGE = "spanserve_in_flight"


def main(argv: list[str] | None = None) -> int:
    """Soaks; returns 1 where something does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=int, default=600, help="how long the load lasts (default: 600)"
    )
    arguments = parser.parse_args(argv)
    if arguments.seconds < 10:
        parser.error("--seconds must be at least 10")
    exit_on_signals()
    cores = Cores.pick()
    say(f"Soak: {cores.describe()}")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            checks = _soak(arguments.seconds, cores, Path(scratch))
    except (BenchmarkError, OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"benchmarks.soak: error: {error}\n")
        return 1
    for check in checks:
        say(f"{'ok  ' if check.held else 'FAIL'} {check.name}{': ' * bool(check.text)}{check.text}")
    failed = sum(not check.held for check in checks)
    say(f"{failed} of {len(checks)} checks failed" if failed else "All checks held.")
    return 1 if failed else 0


def _soak(seconds: int, cores: Cores, scratch: Path) -> list[Check]:
    folder = embedded_artifact()
    command = {"predictor": predictor(folder, SETTINGS)}
    with (
        running(command, cores.server, scratch, grpc=True) as servers,
        pinned(cores.load),
    ):
        server = servers["predictor"]
        traffic = Traffic(folder, _SEED)
        overload, probes = asyncio.run(_load(server, traffic, seconds))
        say(status_table(overload.outcomes))
        rate = answered_tokens(overload.during) / seconds
        # One batch more is running.
        ahead = (BATCHES_AHEAD + 1) * cpu_batch_tokens(threads=1)
        bound = QueueBound(MAX_QUEUE_TOKENS, ahead, traffic.most_tokens())
        return [
            *check_statuses(overload.outcomes),
            check_goodput(rate, overload.capacity),
            check_latency(overload.outcomes, bound),
            check_memory(overload.rss),
            *check_probes(probes),
            _idle(server),
            asyncio.run(_answers(server, traffic)),
            _exit(server),
        ]


async def _load(server: ServerProcess, traffic: Traffic, seconds: int) -> tuple[Overload, Probes]:
    assert server.grpc_port is not None
    sender = Sender(server.port, server.grpc_port, _SEED)
    overload = Overload(server, sender, traffic, say)
    try:
        await overload.find_capacity(max(5.0, min(20.0, seconds / 10)))
        with probing(server.port) as probes:
            await overload.run(seconds)
    finally:
        await sender.close()
    return overload, probes


def _idle(server: ServerProcess) -> Check:
    """Waits until nothing is in flight, by the gauge where there is one, and no core is used."""
    deadline = time.monotonic() + _IDLE_SECONDS
    while True:
        before = server.cpu_seconds()
        time.sleep(_WATCH_SECONDS)
        share = (server.cpu_seconds() - before) / _WATCH_SECONDS
        text = server.get("/metrics")[1].decode()
        gauge = [line.split()[-1] for line in text.splitlines() if line.startswith(_GAUGE)]
        idle = share < _IDLE_SHARE and not any(map(float, gauge))
        if idle or time.monotonic() > deadline:
            in_flight = ", ".join(gauge) or "no such gauge"
            seen = f"{share:.1%} of the core, {_GAUGE}: {in_flight}"
            return Check("the server is idle after the load", idle, seen)


async def _answers(server: ServerProcess, traffic: Traffic) -> Check:
    """Asks once on every protocol."""
    assert server.grpc_port is not None
    sender = Sender(server.port, server.grpc_port, _SEED)
    try:
        statuses: dict[str, int] = {}
        while len(statuses) < len(PROTOCOLS):
            shot = traffic.pick(("valid",))
            if shot.protocol not in statuses:
                statuses[shot.protocol] = (await sender.send(shot)).status
    finally:
        await sender.close()
    right = all(status == 200 for status in statuses.values())
    return Check("the server answers after the load", right, str(statuses))


def _exit(server: ServerProcess) -> Check:
    """Asks the server to end."""
    server.process.send_signal(signal.SIGTERM)
    try:
        status = server.process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        return Check("SIGTERM ends the server with 0", False, f"still up after {_EXIT_SECONDS} s")
    return Check("SIGTERM ends the server with 0", status == 0, f"status {status}")


if __name__ == "__main__":
    sys.exit(main())
