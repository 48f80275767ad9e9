"""The cluster: the few calls to the Kubernetes API that a rollout makes, repeated where that helps.

Objects are plain dicts as the API sends them, so that no field is lost that this client's models
do not know. Nothing here is watched: polling needs no state that a lost connection would lose.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

import urllib3
import websocket
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

from k8s.rollout import failures
from k8s.rollout.errors import Conflict, Forbidden, Refused, Unreachable

Object = dict[str, Any]
T = TypeVar("T")

_SERVING = {"group": "serving.kserve.io", "version": "v1beta1", "plural": "inferenceservices"}
_TRANSIENT = {0, 429, 500, 502, 503, 504}
# A wrong address or a cluster that is off should not take the whole timeout to say so.
_FIRST_CONTACT_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 5.0


class Deadline:
    """A point in time, so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        """Starts at once."""
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then, at least 0."""
        return max(0.0, self._end - time.monotonic())


class Cluster:
    """One namespace of a cluster; a call that fails for now is repeated until `deadline`.

    Every method raises Unreachable, Forbidden, or Refused where the API server refuses the object.
    """

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        """Takes a configured client."""
        websocket.setdefaulttimeout(failures.LONGEST_SECONDS)
        self.namespace = namespace
        self.deadline = Deadline(_FIRST_CONTACT_SECONDS)
        self._host = api.configuration.host
        self._batch = client.BatchV1Api(api)
        self._core = client.CoreV1Api(api)
        self._custom = client.CustomObjectsApi(api)
        self._reached = False

    def jobs(self, selector: str) -> list[Object]:
        """The Jobs with these labels."""
        list_jobs = self._batch.list_namespaced_job
        found = self._call("list", "jobs", list_jobs, self.namespace, label_selector=selector)
        return _items(found)

    def job(self, name: str) -> Object | None:
        """A Job, or None."""
        return self._get("jobs", self._batch.read_namespaced_job, name, self.namespace)

    def create_job(self, body: Object, *, dry_run: bool = False) -> bool:
        """Creates a Job; False where one of that name exists."""
        create = self._batch.create_namespaced_job
        try:
            self._call("create", "jobs", create, self.namespace, body, **_dry(dry_run))
        except Conflict:
            return False
        return True

    def delete_job(self, job: Object) -> None:
        """Deletes this very Job and its pods; it may be gone."""
        metadata = job["metadata"]
        options = {
            "propagationPolicy": "Background",
            "preconditions": {"uid": metadata["uid"]},
        }
        delete = self._batch.delete_namespaced_job
        try:
            self._call("delete", "jobs", delete, metadata["name"], self.namespace, body=options)
        except (Conflict, _Absent):
            return

    def pods(self, selector: str) -> list[Object]:
        """The pods with these labels, the oldest first."""
        list_pods = self._core.list_namespaced_pod
        found = self._call("list", "pods", list_pods, self.namespace, label_selector=selector)
        return sorted(_items(found), key=_age)

    def log(self, pod: str, container: str) -> str:
        """What a container has written; nothing where it has not started or is gone."""
        read = self._core.read_namespaced_pod_log
        try:
            return self._text(
                "get", "pods/log", read, pod, self.namespace, container=container
            ).decode("utf-8", "replace")
        except (_Absent, Refused):  # 404: gone; 400: it waits to start
            return ""

    def service(self, name: str) -> Object | None:
        """A Service, or None."""
        return self._get("services", self._core.read_namespaced_service, name, self.namespace)

    def inference_service(self, name: str) -> Object | None:
        """An InferenceService, or None."""
        read = self._custom.get_namespaced_custom_object
        where = _SERVING | {"namespace": self.namespace, "name": name}
        return self._get("inferenceservices", read, **where)

    def patch_inference_service(self, name: str, body: Object, *, dry_run: bool = False) -> None:
        """Merges `body` into it; raises Conflict where its resourceVersion is not `body`'s."""
        patch = self._custom.patch_namespaced_custom_object
        where = _SERVING | {"namespace": self.namespace, "name": name, "body": body}
        self._call(
            "patch",
            "inferenceservices",
            patch,
            **where,
            **_dry(dry_run),
            _content_type="application/merge-patch+json",
        )

    def port_forward(self, pod: str, port: int) -> Any:
        """A socket to a pod's port, through the API server."""
        connect = self._core.connect_get_namespaced_pod_portforward
        forwarded = self._repeat(
            "get/create",  # which of them is asked for depends on the API server's age
            "pods/portforward",
            lambda: portforward(connect, pod, self.namespace, ports=str(port)),
        )
        return forwarded.socket(port)

    def _get(self, resource: str, read: Callable[..., Any], *args: Any, **kw: Any) -> Object | None:
        try:
            found: Object = self._call("get", resource, read, *args, **kw)
        except _Absent:
            return None
        return found

    def _call(
        self, verb: str, resource: str, method: Callable[..., Any], *a: Any, **kw: Any
    ) -> Any:
        return json.loads(self._text(verb, resource, method, *a, **kw))

    def _text(
        self, verb: str, resource: str, method: Callable[..., Any], *args: Any, **kw: Any
    ) -> bytes:
        def once() -> bytes:
            seconds = max(1.0, min(failures.LONGEST_SECONDS, self.deadline.left))
            # Not preloaded, the response reaches us unread and is ours to raise on.
            response = method(*args, **kw, _preload_content=False, _request_timeout=seconds)
            data: bytes = response.data
            return data

        return self._repeat(verb, resource, once)

    def _repeat(self, verb: str, resource: str, once: Callable[[], T]) -> T:
        """Calls until it succeeds, fails for good, or the deadline passes."""
        contact = Deadline(_FIRST_CONTACT_SECONDS)
        pause = 0.2
        while True:
            try:
                result = failures.unmasked(once)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                wait, reason = pause, failures.network_reason(error)
            except ApiException as error:
                status, reason = failures.status(error)
                if status not in _TRANSIENT:
                    self._reached = True
                    raise self._error(status, reason, verb, resource) from error
                self._reached = self._reached or status != 0
                wait = max(pause, failures.retry_after(error))
            else:
                self._reached = True
                return result
            left = self.deadline.left if self._reached else min(self.deadline.left, contact.left)
            if wait >= left:
                raise Unreachable(f"{self._host}: cannot {verb} {resource}: {reason}")
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _error(self, status: int, reason: str, verb: str, resource: str) -> Exception:
        where = f"{resource} in namespace {self.namespace}"
        if status == HTTPStatus.FORBIDDEN:
            return Forbidden(f"not allowed to {verb} {where} (403): {reason}")
        if status == HTTPStatus.UNAUTHORIZED:
            return Forbidden(f"{self._host}: these credentials are not accepted (401)")
        if status == HTTPStatus.NOT_FOUND:
            return _Absent(reason)
        if status == HTTPStatus.CONFLICT:
            return Conflict(reason)
        return Refused(f"cannot {verb} {where}: {reason} ({status})")


class _Absent(Exception):
    """404."""


def _items(found: Object) -> list[Object]:
    return list(found["items"])


def _age(item: Object) -> tuple[str, str]:
    return item["metadata"].get("creationTimestamp") or "", item["metadata"]["name"]


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dry_run": "All"} if dry_run else {}
