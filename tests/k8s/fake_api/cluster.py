"""The objects of one namespace, and what the controllers of Kubernetes and KServe make of them.

Controllers take a step whenever somebody looks, so that no test has to wait for a clock.
"""

from __future__ import annotations

import copy
import json
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.k8s.fake_api.model import FakeModel

NAMESPACE = "shop"
CLAIM = "pvc://spanserve-models/qa"
LOG = ("qa: baseline: done in 0.1 s", "qa: graph: done in 0.2 s")

Object = dict[str, Any]


@dataclass
class JobEnd:
    """How the Job of a version ends."""

    exit_code: int = 0
    log: tuple[str, ...] = LOG


@dataclass
class FakeCluster:
    """The state; take `lock` around whatever looks at it.

    Attributes:
        job_ends: Version → how its Job ends; 0 where it is not named.
        never_ready: Versions whose pods crash.
        models: Version → what its pods serve; a good model where it is not named.
    """

    job_ends: dict[int, JobEnd] = field(default_factory=dict)
    never_ready: set[int] = field(default_factory=set)
    models: dict[int, FakeModel] = field(default_factory=dict)
    headless: bool = False

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.objects: dict[tuple[str, str], Object] = {}
        self.logs: dict[str, str] = {}
        self._count = 0
        self._pods_made = 0

    # Objects

    def put(self, resource: str, body: Object) -> Object:
        """Creates an object."""
        body = copy.deepcopy(body)
        self._count += 1
        body["metadata"] |= {
            "namespace": NAMESPACE,
            "uid": f"uid-{self._count}",
            "generation": 1,
            "creationTimestamp": f"2026-01-01T00:{self._count // 60:02d}:{self._count % 60:02d}Z",
        }
        self.objects[resource, body["metadata"]["name"]] = body
        self.touch(body)
        return body

    def touch(self, item: Object) -> None:
        """Gives an object its next resourceVersion."""
        self._count += 1
        item["metadata"]["resourceVersion"] = str(self._count)

    def all(self, resource: str, selector: str = "") -> list[Object]:
        """The objects of a kind with these labels."""
        wanted = dict(term.split("=") for term in selector.split(",") if term)
        return [
            item
            for (kind, _), item in self.objects.items()
            if kind == resource and wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]

    def merge(self, item: Object, patch: Object) -> Object:
        """What a JSON merge patch makes of an object (RFC 7386)."""
        merged = _merged(item, patch)
        if merged["spec"] != item["spec"]:
            merged["metadata"]["generation"] += 1
        return merged

    # What tests start from

    def add_job(self, version: int, *, done: bool = True) -> Object:
        """An optimize Job as an overlay makes it."""
        labels = {
            "app.kubernetes.io/part-of": "spanserve",
            "app.kubernetes.io/component": "optimize",
            "spanserve/name": "qa",
            "spanserve/version": str(version),
        }
        args = ["build", "--model", "demo/checkpoint/pruned", "--output", "/models", "--name", "qa"]
        args += ["--version", str(version), "--max-f1-drop", "1.0"]
        container = {"name": "optimize", "image": "spanserve/optimize:0.1.0", "args": args}
        template = {"metadata": {"labels": dict(labels)}, "spec": {"containers": [container]}}
        rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2, 3]}}]
        job = self.put(
            "jobs",
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    "name": f"optimize-qa-{version}",
                    "labels": labels,
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
                },
                "spec": {"podFailurePolicy": {"rules": rules}, "template": template},
            },
        )
        self.default_job(job)
        while done and not _ended(job):
            self.step_job(job)
        return job

    def add_service(self, version: int) -> Object:
        """The InferenceService, deployed and ready."""
        made = self.put(
            "inferenceservices",
            {
                "apiVersion": "serving.kserve.io/v1beta1",
                "kind": "InferenceService",
                "metadata": {"name": "qa"},
                "spec": {
                    "predictor": {
                        "model": {
                            "modelFormat": {"name": "spanserve"},
                            "storageUri": f"{CLAIM}/{version}",
                        }
                    }
                },
            },
        )
        ports = [{"port": 80, "targetPort": 8080}]
        self.put(
            "services",
            {
                "metadata": {"name": "qa-predictor"},
                "spec": {"clusterIP": "None" if self.headless else "10.0.0.1", "ports": ports},
            },
        )
        for _ in range(5):
            self.step_service(made)
        return made

    @property
    def service(self) -> Object:
        """The InferenceService."""
        return self.objects["inferenceservices", "qa"]

    @property
    def served(self) -> int:
        """The version its storageUri names."""
        return int(self.service["spec"]["predictor"]["model"]["storageUri"].rsplit("/", 1)[1])

    def annotation(self, name: str) -> str | None:
        """One of the InferenceService's annotations."""
        return (self.service["metadata"].get("annotations") or {}).get(f"spanserve/{name}")

    def jobs_of(self, version: int) -> list[str]:
        """The names of a version's Jobs."""
        found = self.all("jobs", f"spanserve/version={version}")
        return [job["metadata"]["name"] for job in found]

    def model_of(self, pod: Object) -> FakeModel:
        """What a pod serves."""
        version = int(pod["metadata"]["annotations"]["version"])
        if version not in self.models:
            self.models[version] = FakeModel(version)
        return self.models[version]

    # Controllers

    def default_job(self, job: Object) -> None:
        """What the API server adds to a Job."""
        owned = {"controller-uid": job["metadata"]["uid"], "job-name": job["metadata"]["name"]}
        labels = owned | {f"batch.kubernetes.io/{name}": value for name, value in owned.items()}
        job["spec"]["selector"] = {"matchLabels": {"controller-uid": owned["controller-uid"]}}
        job["spec"]["template"]["metadata"]["labels"] |= labels

    def step_job(self, job: Object) -> None:
        """Job controller and kubelet: no pod → pending → running → ended."""
        if _ended(job):
            return
        name = job["metadata"]["name"]
        pods = self.all("pods", f"batch.kubernetes.io/job-name={name}")
        end = self.job_ends.get(int(job["metadata"]["labels"]["spanserve/version"]), JobEnd())
        if not pods:
            labels = job["spec"]["template"]["metadata"]["labels"]
            self._pod(f"{name}-x1", labels, {"phase": "Pending"})
            return
        (pod,) = pods
        pod_name = pod["metadata"]["name"]
        if pod["status"]["phase"] == "Pending":
            pod["status"] = {"phase": "Running"}
            self.logs[pod_name] = f"{end.log[0]}\n"
            return
        self.logs[pod_name] = "".join(f"{line}\n" for line in end.log)
        ok = end.exit_code == 0
        ended = {"exitCode": end.exit_code, "reason": "Completed" if ok else "Error"}
        pod["status"] = {
            "phase": "Succeeded" if ok else "Failed",
            "containerStatuses": [{"name": "optimize", "state": {"terminated": ended}}],
        }
        condition = {"type": "Complete" if ok else "Failed", "status": "True"}
        if not ok:
            condition |= {"reason": "PodFailurePolicy", "message": "Container optimize failed"}
        job["status"] = {"conditions": [condition]}
        self.touch(job)

    def step_service(self, item: Object) -> None:
        """KServe and its Deployment: a new pod, ready, and only then the old one goes."""
        uri = item["spec"]["predictor"]["model"]["storageUri"]
        if not uri.startswith(f"{CLAIM}/"):
            return
        version = self.served
        labels = {"app": "isvc.qa-predictor", "component": "predictor"}
        pods = self.all("pods", "component=predictor")
        leaving = [pod for pod in pods if pod["metadata"].get("deletionTimestamp")]
        right = [p for p in pods if p["metadata"]["annotations"]["version"] == str(version)]
        right = [pod for pod in right if pod not in leaving]
        wrong = [pod for pod in pods if pod not in right and pod not in leaving]
        generation = item["metadata"]["generation"]
        status = item.setdefault("status", {})
        if leaving:
            for pod in leaving:
                del self.objects["pods", pod["metadata"]["name"]]
        elif status.get("observedGeneration") != generation:
            status["observedGeneration"] = generation
            self.touch(item)
        elif not right:
            self._pods_made += 1
            pod = self._pod(f"qa-predictor-{self._pods_made}", labels, {"phase": "Pending"})
            pod["metadata"]["annotations"] = {"version": str(version)}
        elif not _ready(right[0]):
            right[0]["status"] = self._predictor_status(version)
        for pod in wrong:
            if right and (_ready(right[0]) or not _ready(pod)):
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T01:00:00Z"
        ready = any(map(_ready, self.all("pods", "component=predictor")))
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        if not ready:
            condition["message"] = "Predictor not ready"
        if status.get("conditions") != [condition]:
            status["conditions"] = [condition]
            status["url"] = f"http://qa.{NAMESPACE}.example.com"
            self.touch(item)

    def _predictor_status(self, version: int) -> Object:
        if version in self.never_ready:
            waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
            return {
                "phase": "Running",
                "containerStatuses": [{"name": "kserve-container", "state": {"waiting": waiting}}],
            }
        return {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}

    def _pod(self, name: str, labels: Object, status: Object) -> Object:
        ports = [{"name": "http1", "containerPort": 8080}]
        spec = {"containers": [{"name": "kserve-container", "ports": ports}]}
        body = {"metadata": {"name": name, "labels": dict(labels)}, "spec": spec, "status": status}
        return self.put("pods", body)


def _merged(item: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = json.loads(json.dumps(item)) if isinstance(item, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def _ended(job: Object) -> bool:
    return bool(job.get("status", {}).get("conditions"))


def _ready(pod: Object) -> bool:
    return bool(pod["status"].get("conditions"))
