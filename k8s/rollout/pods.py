"""What a pod's status says, in words; no calls."""

from __future__ import annotations

from k8s.rollout.cluster import Object


def live(pod: Object) -> bool:
    """Whether it is there to stay: neither being deleted, nor ended or evicted."""
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def ready(pod: Object) -> bool:
    """Whether it takes requests."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def port(pod: Object, container: str, default: int) -> int:
    """The first port of a container."""
    for candidate in pod["spec"].get("containers", []):
        if candidate["name"] == container and candidate.get("ports"):
            return int(candidate["ports"][0]["containerPort"])
    return default


def exit_of(pod: Object, container: str) -> tuple[int, str] | None:
    """A container's exit code and reason, now or last; None where it has never ended."""
    for status in pod.get("status", {}).get("containerStatuses") or []:
        if status["name"] == container:
            for state in (status.get("state") or {}, status.get("lastState") or {}):
                ended = state.get("terminated")
                if ended:
                    return int(ended["exitCode"]), str(ended.get("reason") or "")
    return None


def trouble(pod: Object) -> str:
    """Its phase and, where it has one, the reason why a container or the pod waits."""
    status = pod.get("status", {})
    phase = str(status.get("phase", "Pending"))
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return f"{waiting['reason']} {_line(waiting.get('message'))}".strip()
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason')} {_line(condition.get('message'))}".strip()
    return f"{phase}, not ready" if phase == "Running" else phase


def _line(text: str | None) -> str:
    return " ".join((text or "").split())[:200]
