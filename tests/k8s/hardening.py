"""What every pod and container has to have."""

from __future__ import annotations

from kubernetes.utils.quantity import parse_quantity

from predictor.settings import PREFIX, Settings
from tests.k8s.images import target
from tests.k8s.rendering import TRITON, Object, Pod

# The server finishes what is in flight within this after its drain (docs/serving.md).
_GRACE_SECONDS = 30
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def check(pod: Pod, renamed: dict[str, str]) -> None:
    """Raises AssertionError for the first thing that is missing."""
    for field in ("automountServiceAccountToken", "enableServiceLinks"):
        assert pod.spec.get(field) is False, f"{pod.owner}: {field} is not false"
    assert pod.spec.get("serviceAccountName"), f"{pod.owner}: no serviceAccountName"
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for name, volume in volumes.items():
        if "emptyDir" in volume:
            assert volume["emptyDir"].get("sizeLimit"), f"{pod.owner}: {name} has no sizeLimit"
    for container in pod.containers:
        where = f"{pod.owner} {container['name']}"
        if container["image"] != TRITON["image"]:
            target(container["image"], renamed)
            assert container.get("imagePullPolicy") == "IfNotPresent", f"{where}: imagePullPolicy"
        _check_security(container, pod.spec.get("securityContext", {}), where)
        _check_resources(container.get("resources", {}), where)
        mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
        assert set(mounts.values()) <= set(volumes), f"{where}: mounts a volume that is not there"
        assert "emptyDir" in volumes.get(mounts.get("/tmp"), {}), f"{where}: no emptyDir at /tmp"
        if container.get("ports") or pod.kserve:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container.get(probe), f"{where}: no {probe}"
        _check_ending(container, pod.spec, where)


def _check_security(container: Object, pod: Object, where: str) -> None:
    context = {**pod, **container.get("securityContext", {})}
    wanted = {
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for field, value in wanted.items():
        assert context.get(field) == value, f"{where}: {field} is not {value}"
    for field in ("runAsUser", "runAsGroup"):
        number = context.get(field)
        numeric = isinstance(number, int) and number > 0
        assert numeric, f"{where}: {field} is no number above 0"
    assert not context.get("privileged"), f"{where}: is privileged"


def _check_resources(resources: Object, where: str) -> None:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    for name in _RESOURCES:
        assert name in requests, f"{where}: no request of {name}"
        assert name in limits, f"{where}: no limit of {name}"
    assert set(requests) == set(limits), f"{where}: requests and limits are of other things"
    for name, amount in requests.items():
        least, most = parse_quantity(amount), parse_quantity(limits[name])
        assert least <= most, f"{where}: requests more {name} than its limit"
        # Devices are given whole.
        assert "/" not in name or least == most, f"{where}: {name} is not requested as limited"


def _check_ending(container: Object, pod: Object, where: str) -> None:
    pause = container.get("lifecycle", {}).get("preStop", {})
    seconds = float(pause["exec"]["command"][1]) if pause else 0.0
    variables = {item["name"]: item.get("value") for item in container.get("env", [])}
    if f"{PREFIX}DRAIN_SECONDS" in variables:
        timeout = variables.get(f"{PREFIX}REQUEST_TIMEOUT")
        timeout = timeout or Settings.model_fields["request_timeout"].default
        seconds += float(variables[f"{PREFIX}DRAIN_SECONDS"]) + max(float(timeout), _GRACE_SECONDS)
    # 30 seconds are Kubernetes' default.
    given = pod.get("terminationGracePeriodSeconds", 30)
    assert seconds < given, f"{where}: ends within {seconds:g} s, but is killed after {given} s"
