"""What `kubectl kustomize` makes of a folder, and the pods that come of it."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]

K8S = Path(__file__).resolve().parents[2] / "k8s"
COMBINATIONS = sorted(path.parent for path in K8S.glob("tests/*/kustomization.yaml"))
OVERLAYS = sorted(path.parent for path in K8S.glob("overlays/*/kustomization.yaml"))
COMPONENTS = sorted(path.parent for path in K8S.glob("components/*/kustomization.yaml"))

# Components of the version before may not be listed, and `labels` has no pairs.
_LEAST_KUSTOMIZE = (5, 0)

TRITON = {
    "name": "kserve-container",
    "image": "tritonserver",
    "args": ["tritonserver", "--model-store=/mnt/models", "--grpc-port=9000", "--http-port=8080"],
}
"""The container of KServe's own ClusterServingRuntime `kserve-tritonserver`."""


@dataclass(frozen=True)
class Pod:
    """The pods of an object, as its controller makes them; `kserve` adds the model's mount."""

    owner: str
    spec: Object
    kserve: bool

    @property
    def containers(self) -> list[Object]:
        """All of them, init containers first."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


@functools.cache
def kubectl() -> str:
    """The program on the PATH; skips where it is absent or too old."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("there is no kubectl")
    command = [program, "version", "--client", "--output", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    version = found.get("kustomizeVersion", "v0")
    if tuple(map(int, version.lstrip("v").split(".")[:2])) < _LEAST_KUSTOMIZE:
        pytest.skip(f"kubectl has kustomize {version}, these need 5.0")
    return program


@functools.cache
def _render(folder: Path) -> str:
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Kustomize warns of fields that will go.
    assert not done.stderr, done.stderr
    return done.stdout


def render(folder: Path) -> list[Object]:
    """The objects that a folder gives; each call makes them anew."""
    return list(yaml.safe_load_all(_render(folder)))


def renamed(folder: Path) -> dict[str, str]:
    """The names that an overlay gives images → ours."""
    given = yaml.safe_load((folder / "kustomization.yaml").read_text()).get("images", [])
    return {image["newName"]: image["name"] for image in given}


def named(objects: list[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind by their names."""
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


def pods(objects: list[Object]) -> list[Pod]:
    """The pods of every object that makes some."""
    result = []
    for each in objects:
        owner = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] in ("Job", "Deployment"):
            result.append(Pod(owner, each["spec"]["template"]["spec"], kserve=False))
        if each["kind"] == "InferenceService":
            stable = each["spec"]["predictor"]
            result.append(_served(owner, stable, objects))
            for canary in each["spec"].get("canary", []):
                whole = merged(stable, canary["predictor"])
                result.append(_served(f"{owner} {whole['name']}", whole, objects))
    return result


_POD_FIELDS = (
    "affinity", "automountServiceAccountToken", "enableServiceLinks", "securityContext",
    "serviceAccountName", "terminationGracePeriodSeconds", "tolerations", "volumes",
)  # fmt: skip
_MODEL_FIELDS = ("modelFormat", "protocolVersion", "runtime", "runtimeVersion", "storageUri")


def _served(owner: str, predictor: Object, objects: list[Object]) -> Pod:
    """As KServe merges a runtime and an InferenceService."""
    model = predictor["model"]
    if model["runtime"] == "kserve-tritonserver":
        runtime: Object = {"containers": [TRITON]}
    else:
        runtimes = named(objects, "ServingRuntime")
        assert model["runtime"] in runtimes, f"{owner}: no runtime {model['runtime']}"
        runtime = runtimes[model["runtime"]]["spec"]
    given = {key: value for key, value in model.items() if key not in _MODEL_FIELDS}
    spec = merged(
        {"volumes": runtime.get("volumes", [])},
        {key: predictor[key] for key in _POD_FIELDS if key in predictor},
    )
    spec["containers"] = [merged(runtime["containers"][0], given), *predictor.get("containers", [])]
    return Pod(owner, spec, kserve=True)


_KEYS = {"env": "name", "volumes": "name", "ports": "containerPort", "volumeMounts": "mountPath"}


def merged(base: Object, over: Object) -> Object:
    """A strategic merge, where arguments add up."""
    result = deepcopy(base)
    for field, value in over.items():
        here = result.get(field)
        if isinstance(here, dict) and isinstance(value, dict):
            result[field] = merged(here, value)
        elif field == "args" and here:
            result[field] = here + value
        elif field in _KEYS and here:
            by = {item[_KEYS[field]]: item for item in here + value}
            result[field] = list(by.values())
        else:
            result[field] = deepcopy(value)
    return result
