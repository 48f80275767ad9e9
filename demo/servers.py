"""Predictors as local servers."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from loadtest.local import servers as local
from loadtest.local.servers import HOST, ServerError, free_ports


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
    ports = free_ports(2 * len(folders))
    wanted = []
    for name, folder in folders.items():
        port, grpc_port = ports.pop(), ports.pop() if grpc else None
        command = _command(folder, port, grpc_port, settings.get(name, {}))
        wanted.append(local.Server(name, command, port, grpc_port=grpc_port))
    with local.running(logs) as servers:
        try:
            processes = servers.start(*wanted)
        except ServerError as error:
            raise DemoError(str(error)) from error
        yield [
            Server(each.name, each.port, logs / f"{each.name}.log", process, each.grpc_port)
            for each, process in zip(wanted, processes, strict=True)
        ]


def _command(
    folder: Path, port: int, grpc_port: int | None, settings: Mapping[str, object]
) -> list[str]:
    command = [sys.executable, "-m", "predictor", "--model_dir", str(folder), "--host", HOST]
    command += ["--http_port", str(port)]
    command += ["--grpc_port", str(grpc_port)] if grpc_port else ["--enable_grpc", "false"]
    # Nobody else sends here, so that nothing is to be waited for when the server stops.
    for setting, value in {"drain_seconds": 0, **settings}.items():
        command += [f"--{setting}", str(value)]
    return command
