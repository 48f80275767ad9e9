"""`python -m benchmarks.soak.prober PORT`: the kubelet's questions, ten times a second.

A process of its own, with one connection, so that the load generator's work is not in the figures.
It ends with its standard input, and then writes what it saw as JSON.
"""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from loadtest.local.servers import HOST, READY_PATH, stop

PATHS = ("/v2/health/live", READY_PATH)
_EVERY_SECONDS = 0.1
_SECONDS = 10


@dataclass
class Probes:
    """What the probes saw.

    Attributes:
        seconds: Of each probe that was answered with 200.
        failures: What went wrong with each of the others.
    """

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@contextmanager
def probing(port: int) -> Iterator[Probes]:
    """Probes a server during the block; what was seen is there after it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.soak.prober", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    probes = Probes()
    try:
        yield probes
        seen, _ = process.communicate(timeout=2 * _SECONDS)
        probes.__dict__.update(json.loads(seen))
    finally:
        stop(process)


def main() -> None:
    """Probes until standard input ends."""
    port = int(sys.argv[1])
    probes = Probes()
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)
    due = time.perf_counter()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.perf_counter()))[0]:
        due += _EVERY_SECONDS
        for path in PATHS:
            started = time.perf_counter()
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                probes.failures.append(f"{path}: {error!r}")
                connection.close()
                continue
            if response.status != 200:
                probes.failures.append(f"{path}: {response.status}")
            probes.seconds.append(time.perf_counter() - started)
    sys.stdout.write(json.dumps(asdict(probes)))


if __name__ == "__main__":
    main()
