"""How a served model is reached: its pods through the API server, or a URL."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from k8s.rollout import pods
from k8s.rollout.cluster import Cluster, Object
from k8s.rollout.errors import Refused

_SECONDS = 30.0
# The container that KServe fills from the ServingRuntime, and the port it listens on by default.
_CONTAINER, _PORT = "kserve-container", 8080


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; `body` is None where it is no JSON object."""

    status: int
    body: dict[str, Any] | None


class Access(Protocol):
    """Raises OSError or http.client.HTTPException where no whole answer comes."""

    def ask(self, pod: Object, method: str, path: str, body: object = None) -> Reply:
        """One request to a pod."""


class Forwarded:
    """Each pod by itself, over the API server's port forwarding: needs no route to the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        """Takes the cluster that the pods are in."""
        self._cluster = cluster

    def ask(self, pod: Object, method: str, path: str, body: object = None) -> Reply:
        """One request to this very pod; raises Forbidden too."""
        name = pod["metadata"]["name"]
        forwarded = self._cluster.port_forward(name, pods.port(pod, _CONTAINER, _PORT))
        connection = http.client.HTTPConnection(name)
        connection.sock = forwarded
        forwarded.settimeout(_SECONDS)
        try:
            return _exchange(connection, method, path, body)
        finally:
            connection.close()
            # The half that the forwarding thread reads ends with it, and so does the thread.
            forwarded.close()


class Direct:
    """One URL in place of all pods; which of them answers is up to what stands behind it."""

    def __init__(self, url: str) -> None:
        """Raises Refused for what is no http or https URL."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise Refused(f"--url {url}: {error}") from error
        if parts.scheme not in ("http", "https") or not host:
            raise Refused(f"--url {url}: not like http://host:port")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else None
        make = kind or http.client.HTTPConnection
        self._connect: Callable[[], http.client.HTTPConnection] = lambda: make(
            host, port, timeout=_SECONDS
        )
        self._prefix = parts.path.rstrip("/")

    def ask(self, pod: Object, method: str, path: str, body: object = None) -> Reply:
        """One request to the URL; the pod plays no part."""
        connection = self._connect()
        try:
            return _exchange(connection, method, self._prefix + path, body)
        finally:
            connection.close()


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: object
) -> Reply:
    headers = {"Connection": "close"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        content = response.read()
    except socket.gaierror as error:
        raise OSError(f"{connection.host}: {error.strerror}") from error
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    return Reply(response.status, parsed if isinstance(parsed, dict) else None)
