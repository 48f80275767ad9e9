"""Servers as local processes on loopback, started side by side and surely stopped."""

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
from loadtest.local.guard import RECORD, STOP_SECONDS

HOST = "127.0.0.1"
START_SECONDS = 300.0
READY_PATH = "/v2/models/qa/ready"
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
        grpc_port: Where it answers gRPC, or None.
    """

    name: str
    command: Sequence[str]
    port: int
    ready_path: str = READY_PATH
    environ: Mapping[str, str] = field(default_factory=dict)
    grpc_port: int | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"


class Servers:
    """Those that run. A guard ends them when this process ends, however that is."""

    def __init__(self, logs: Path, start_seconds: float = START_SECONDS) -> None:
        """Takes the folder of the logs, and how long a start may take."""
        self._logs = logs
        self._start_seconds = start_seconds
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "loadtest.local.guard"],
            cwd=ROOT,
            env=_environ({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def start(self, *servers: Server) -> list[subprocess.Popen[bytes]]:
        """Starts servers side by side; their processes, once all are ready.

        Raises:
            ServerError: One of them did not start; the others of these are stopped too.
        """
        names = [server.name for server in servers]
        try:
            for server in servers:
                self._begin(server)
            for server in servers:
                self._wait_ready(server)
        except BaseException:
            stop(*(self._processes.pop(name) for name in names if name in self._processes))
            raise
        return [self._processes[name] for name in names]

    def stop_all(self) -> None:
        """Stops all, and what they started."""
        stop(*self._processes.values())
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()

    def _begin(self, server: Server) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            with self._log(server).open("wb") as stream:
                # A session of its own: Ctrl-C reaches this process alone, which then stops all.
                process = subprocess.Popen(
                    server.command,
                    cwd=ROOT,
                    env=_environ(server.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise ServerError(f"{server.name} cannot be started: {error}") from error
        self._processes[server.name] = process
        assert self._guard.stdin is not None
        self._guard.stdin.write(process.pid.to_bytes(RECORD))
        self._guard.stdin.flush()

    def _wait_ready(self, server: Server) -> None:
        deadline = time.monotonic() + self._start_seconds
        while time.monotonic() < deadline:
            if self._processes[server.name].poll() is not None:
                raise ServerError(f"{server.name} stopped at its start: {self._why(server)}")
            if _answers(server):
                return
            time.sleep(_LOOK_SECONDS)
        seconds = self._start_seconds
        raise ServerError(f"{server.name} is not ready after {seconds:.0f} s: {self._why(server)}")

    def _log(self, server: Server) -> Path:
        return self._logs / f"{server.name}.log"

    def _why(self, server: Server) -> str:
        """The first error of a log, which the later ones follow from; else its last words."""
        lines = self._log(server).read_text("utf-8", "replace").strip().splitlines()
        told = [line for line in lines if _ERROR.match(line)][:1] or lines[-_TOLD_LINES:]
        return " / ".join(line.strip() for line in told)[:500] or "it said nothing"


@contextlib.contextmanager
def running(logs: Path, start_seconds: float = START_SECONDS) -> Iterator[Servers]:
    """Servers that are stopped when the block ends, come what may."""
    servers = Servers(logs, start_seconds)
    try:
        yield servers
    finally:
        servers.stop_all()


def stop(*processes: subprocess.Popen[bytes]) -> None:
    """Ends processes: all asked first, then those killed that stay."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _environ(more: Mapping[str, str]) -> dict[str, str]:
    """This process' variables, its modules first, and more."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **more}


def _answers(server: Server) -> bool:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.request("GET", server.ready_path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
