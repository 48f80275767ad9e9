"""Servers as local processes on loopback, started one after the other and surely stopped."""

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.errors import LoadTestError
from loadtest.local.guard import STOP_SECONDS

HOST = "127.0.0.1"
START_SECONDS = 300.0
ROOT = Path(__file__).resolve().parents[2]
_LOOK_SECONDS = 0.2
_TOLD_LINES = 3
_ERROR = re.compile(r"[\w.]*(Error|Exception)\b")


class ServerError(LoadTestError):
    """A server did not start."""


@dataclass(frozen=True)
class Server:
    """A process that listens on a port of the loopback.

    Attributes:
        name: What its log is called.
        command: Program and arguments.
        port: Where it answers HTTP.
        ready_path: What is answered with 200 when it is ready.
        environ: Variables beside those that this process has.
    """

    name: str
    command: Sequence[str]
    port: int
    ready_path: str
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"


class Servers:
    """Those that run. Each has a guard that ends it when this process ends, however that is."""

    def __init__(self, logs: Path, start_seconds: float = START_SECONDS) -> None:
        """Takes the folder of the logs, and how long a start may take."""
        self._logs = logs
        self._start_seconds = start_seconds
        self._guards: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, server: Server) -> float:
        """Returns the seconds until it was ready; raises ServerError, and it is stopped then."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{server.name}.log"
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with log.open("wb") as stream:
            guard = subprocess.Popen(
                [sys.executable, "-m", "loadtest.local.guard", *server.command],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path, **server.environ},
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guards[server.name] = guard
        begun = time.monotonic()
        try:
            self._wait_ready(server, guard, log)
        except BaseException:
            self.stop(server.name)
            raise
        return time.monotonic() - begun

    def stop(self, *names: str) -> None:
        """Stops some: all asked first, then waited for; the ones that stay are killed."""
        guards = [self._guards.pop(name) for name in names if name in self._guards]
        for guard in guards:
            assert guard.stdin is not None
            guard.stdin.close()
        for guard in guards:
            # It kills its server by itself; the doubled time is for a guard that does not.
            try:
                guard.wait(2 * STOP_SECONDS)
            except subprocess.TimeoutExpired:
                guard.kill()
                guard.wait()

    def stop_all(self) -> None:
        """Stops all."""
        self.stop(*self._guards)

    def ended(self) -> list[str]:
        """The names of those that have ended by themselves."""
        return [name for name, guard in self._guards.items() if guard.poll() is not None]

    def _wait_ready(self, server: Server, guard: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + self._start_seconds
        while time.monotonic() < deadline:
            if guard.poll() is not None:
                raise ServerError(f"{server.name} stopped at its start: {_why(log)}")
            if _answers(server):
                return
            time.sleep(_LOOK_SECONDS)
        seconds = self._start_seconds
        raise ServerError(f"{server.name} is not ready after {seconds:.0f} s: {_why(log)}")


@contextlib.contextmanager
def running(logs: Path, start_seconds: float = START_SECONDS) -> Iterator[Servers]:
    """Servers that are stopped when the block ends, come what may."""
    servers = Servers(logs, start_seconds)
    try:
        yield servers
    finally:
        servers.stop_all()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _answers(server: Server) -> bool:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.request("GET", server.ready_path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _why(log: Path) -> str:
    """The first error of a log, which the later ones follow from; else its last words."""
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    told = [line for line in lines if _ERROR.match(line)][:1] or lines[-_TOLD_LINES:]
    return " / ".join(line.strip() for line in told)[:500] or "it said nothing"
