"""Predictors as local processes on loopback, started together and surely stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.local.servers import free_ports

HOST = "127.0.0.1"
START_SECONDS = 120
STOP_SECONDS = 20


class DemoError(Exception):
    """The demo cannot go on; the text says why in one line."""


@dataclass(frozen=True)
class Server:
    """A running predictor; `grpc_port` is None where it speaks REST alone."""

    name: str
    port: int
    log: Path
    process: subprocess.Popen[bytes]
    grpc_port: int | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any, str]:
        """One HTTP call: status, parsed body and the Server-Timing header."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            return response.status, json.load(response), response.headers["Server-Timing"] or ""
        finally:
            connection.close()


@contextlib.contextmanager
def running(
    folders: dict[str, Path],
    settings: Mapping[str, Mapping[str, object]],
    logs: Path,
    *,
    grpc: bool = False,
) -> Iterator[list[Server]]:
    """Starts a predictor for each folder and stops all of them in the end, come what may.

    Args:
        folders: Name → artifact.
        settings: Name → settings of the predictor that are not the default.
        logs: Where each server's log goes.
        grpc: Whether gRPC is served too.

    Raises:
        DemoError: A server did not become ready.
    """
    servers: list[Server] = []
    try:
        for name, folder in folders.items():
            log = logs / f"{name}.log"
            servers.append(_start(name, folder, settings.get(name, {}), log, grpc))
        for server in servers:
            _wait_ready(server)
        yield servers
    finally:
        stop(*(server.process for server in servers))


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


def _start(
    name: str, folder: Path, settings: Mapping[str, object], log: Path, grpc: bool
) -> Server:
    port, grpc_port = free_ports(2)
    command = [sys.executable, "-m", "predictor", "--model_dir", str(folder), "--host", HOST]
    command += ["--http_port", str(port)]
    command += ["--grpc_port", str(grpc_port)] if grpc else ["--enable_grpc", "false"]
    # Nobody else sends here, so that nothing is to be waited for when the server stops.
    for setting, value in {"drain_seconds": 0, **settings}.items():
        command += [f"--{setting}", str(value)]
    with log.open("wb") as stream:
        # A session of its own: Ctrl-C reaches this process alone, which then stops the servers.
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    return Server(name, port, log, process, grpc_port if grpc else None)


def _wait_ready(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            last = server.log.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise DemoError(f"the {server.name} predictor stopped: {' '.join(last)}")
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            if server.call("GET", "/v2/models/qa/ready")[0] == 200:
                return
        time.sleep(0.2)
    raise DemoError(f"the {server.name} predictor is not ready after {START_SECONDS} s")
