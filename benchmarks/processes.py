"""Servers as processes pinned to one core, and what the kernel knows about them."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from loadtest.local import servers as local
from loadtest.local.servers import HOST, Server, ServerError, free_ports

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """The core of the servers and the core of the load generator; the same where there is one."""

    server: int
    load: int

    @classmethod
    def pick(cls) -> Cores:
        """The first two cores this process may use."""
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(first, others[0] if others else first)

    def describe(self) -> str:
        """One line that says who runs where."""
        if self.server == self.load:
            return (
                f"ONE core ({self.server}) for servers and load generator: the generator's work "
                "is in every figure, and ratios are closer to 1 than they should be"
            )
        return f"servers on core {self.server}, load generator on core {self.load}"


@dataclass(frozen=True)
class ServerProcess:
    """A server on loopback.

    Attributes:
        name: What tables call it.
        process: The process.
        port: Its HTTP port.
        grpc_port: Its gRPC port, or None.
    """

    name: str
    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int | None = None

    def cpu_seconds(self) -> float:
        """CPU time used so far, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_bytes(self) -> int:
        """Memory that is resident now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kibibytes = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(kibibytes.split()[1]) * 1024

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of one GET on a connection of its own."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Runs the block, and whatever process it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(
    commands: Mapping[str, Sequence[str]], core: int, logs: Path, *, grpc: bool = False
) -> Iterator[dict[str, ServerProcess]]:
    """Starts servers on one core, waits until all are ready, and stops them in the end.

    Args:
        commands: Name → arguments after `python`; `--http_port` (and `--grpc_port`) are added.
        core: Where they run.
        logs: Folder of their logs.
        grpc: Whether they have a gRPC port too.

    Raises:
        BenchmarkError: A server stopped or did not become ready.
    """
    ports = free_ports(2 * len(commands))
    wanted = []
    for name, command in commands.items():
        port, grpc_port = ports.pop(), ports.pop() if grpc else None
        line = [sys.executable, *command, "--http_port", str(port)]
        line += ["--grpc_port", str(grpc_port)] if grpc_port else []
        wanted.append(Server(name, line, port, grpc_port=grpc_port))
    with local.running(logs) as servers:
        try:
            with pinned(core):
                processes = servers.start(*wanted)
        except ServerError as error:
            raise BenchmarkError(str(error)) from error
        yield {
            each.name: ServerProcess(each.name, process, each.port, each.grpc_port)
            for each, process in zip(wanted, processes, strict=True)
        }


def predictor(folder: Path, settings: Mapping[str, object]) -> list[str]:
    """The arguments after `python` of a predictor on loopback, REST alone unless `enable_grpc`."""
    flags = {"model_dir": folder, "host": HOST, "enable_grpc": "false"} | dict(settings)
    return ["-m", "predictor", *(text for n, v in flags.items() for text in (f"--{n}", str(v)))]
