"""The API server: real HTTP on loopback, RBAC, and faults where a test wants them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.k8s.fake_api.cluster import NAMESPACE, FakeCluster
from tests.k8s.fake_api.portforward import forward

_PATH = re.compile(
    r"/(?:api/v1|apis/batch/v1|apis/serving\.kserve\.io/v1beta1)/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}


@dataclass
class Fault:
    """Strikes at the nth request with this verb and resource, once or `times`.

    Attributes:
        action: `drop` the connection before the request is handled, or `drop-after`; `kill` the
            victim before, or `kill-after`; or an HTTP status in place of the answer.
    """

    verb: str
    resource: str
    action: str | int
    nth: int = 1
    times: int = 1

    def strikes(self, verb: str, resource: str) -> bool:
        """Counts a request."""
        if (verb, resource) != (self.verb, self.resource):
            return False
        self.nth -= 1
        if self.nth > 0 or self.times == 0:
            return False
        self.times -= 1
        return True


@dataclass
class FakeApi:
    """A context manager; `role` holds the (verb, resource) pairs that are allowed.

    Attributes:
        used: The pairs that were asked for, in order.
        victim: The process that a fault kills.
    """

    role: set[tuple[str, str]]
    cluster: FakeCluster = field(default_factory=FakeCluster)
    used: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def __enter__(self) -> FakeApi:
        api = self
        self._victim: int | None = None
        self._victim_known = threading.Event()

        class Handler(_Handler):
            pass

        Handler.api = api
        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for model in self.cluster.models.values():
            model.stop()

    def kubeconfig(self, folder: Path) -> Path:
        """Writes a kubeconfig that leads here."""
        named = {
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": "secret"}}],
            "contexts": [
                {
                    "name": "fake",
                    "context": {"cluster": "fake", "user": "me", "namespace": NAMESPACE},
                }
            ],
        }
        head = {"apiVersion": "v1", "kind": "Config", "current-context": "fake"}
        path = folder / "kubeconfig"
        path.write_text(json.dumps(head | named))
        return path

    def victimize(self, pid: int | None) -> None:
        """Says whom faults kill from now on."""
        self._victim = pid
        self._victim_known.set() if pid else self._victim_known.clear()

    def kill(self) -> None:
        """SIGKILL."""
        assert self._victim_known.wait(30)
        assert self._victim
        os.kill(self._victim, signal.SIGKILL)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that is killed is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: FakeApi

    def handle_any(self) -> None:
        """Any method."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = _PATH.fullmatch(url.path)
        if path is None:
            self._status(404, f"no such path {url.path}")
            return
        resource = "/".join(filter(None, (path["resource"], path["sub"])))
        name = path["name"]
        verb = _VERBS.get(self.command) or ("get" if name else "list")
        pairs = [(verb, resource)]
        if resource == "pods/portforward":  # newer API servers ask for create too
            pairs.append(("create", resource))
        faults = [fault for fault in self.api.faults if fault.strikes(verb, resource)]
        action = faults[0].action if faults else None
        if action in ("drop", "kill"):
            self._break_off(kill=action == "kill")
            return
        if isinstance(action, int):
            self._status(action, "try again")
            return
        with self.api.cluster.lock:
            self.api.used += pairs
            refused = [pair for pair in pairs if pair not in self.api.role]
        if path["namespace"] != NAMESPACE or refused:
            self._status(403, f"cannot {verb} {resource}")
            return
        assert self.headers["Authorization"] == "Bearer secret"
        if resource == "pods/portforward":
            self._forward(name, int(query["ports"]))
            return
        with self.api.cluster.lock:
            code, answer = self._handle(verb, resource, name, query, json.loads(body or b"{}"))
        if action in ("drop-after", "kill-after"):
            self._break_off(kill=action == "kill-after")
        elif isinstance(answer, str):
            self._send(code, answer.encode(), "text/plain")
        elif code >= 400:
            self._status(code, answer["message"])
        else:
            self._send(code, json.dumps(answer).encode(), "application/json")

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any

    def _handle(
        self, verb: str, resource: str, name: str, query: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        cluster, dry = self.api.cluster, query.get("dryRun") == "All"
        if resource == "pods/log":
            known = name in cluster.logs
            return (200, cluster.logs[name]) if known else (400, {"message": "waiting to start"})
        if verb == "list":
            selector = query.get("labelSelector", "")
            return 200, {"items": cluster.all(resource, selector)}
        if verb == "create":
            return self._create(resource, body, dry)
        item = cluster.objects.get((resource, name))
        if item is None:
            return 404, {"message": f'{resource} "{name}" not found'}
        if verb == "get":
            if resource == "jobs":
                cluster.step_job(item)
            if resource == "inferenceservices":
                cluster.step_service(item)
            return 200, item
        if verb == "delete":
            if body["preconditions"]["uid"] != item["metadata"]["uid"]:
                return 409, {"message": "the UID in the precondition does not match"}
            del cluster.objects[resource, name]
            for pod in cluster.all("pods", f"batch.kubernetes.io/job-name={name}"):
                del cluster.objects["pods", pod["metadata"]["name"]]
            return 200, {"status": "Success"}
        assert verb == "patch"
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        if body["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            return 409, {"message": "the object has been modified"}
        merged = cluster.merge(item, body)
        if merged is None:  # a test has another patch land first
            return 409, {"message": "the object has been modified"}
        if not dry:
            cluster.objects[resource, name] = merged
            cluster.touch(merged)
        return 200, merged

    def _create(self, resource: str, body: Any, dry: bool) -> tuple[int, Any]:
        cluster = self.api.cluster
        metadata = body["metadata"]
        owned = {"uid", "resourceVersion", "creationTimestamp", "annotations"} & metadata.keys()
        assert not owned, owned
        assert "selector" not in body["spec"]
        assert not [label for label in metadata["labels"] if "uid" in label]
        if (resource, metadata["name"]) in cluster.objects:
            return 409, {"message": f'{resource} "{metadata["name"]}" already exists'}
        if not dry:
            cluster.default_job(cluster.put(resource, body))
        return 201, body

    def _forward(self, name: str, port: int) -> None:
        with self.api.cluster.lock:
            pod = self.api.cluster.objects.get(("pods", name))
            target = self.api.cluster.model_of(pod).port if pod else None
        if target is None:
            self._status(404, f'pods "{name}" not found')
            return
        with contextlib.suppress(OSError):
            forward(self, port, target)

    def _break_off(self, *, kill: bool) -> None:
        if kill:
            self.api.kill()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _status(self, code: int, message: str) -> None:
        body = {"kind": "Status", "status": "Failure", "message": message, "code": code}
        self._send(code, json.dumps(body).encode(), "application/json")

    def _send(self, code: int, content: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""
