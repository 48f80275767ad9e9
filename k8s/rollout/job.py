"""The optimize Job of a version: made after the newest one there is, and judged.

A Job never changes, and one version's never stands for another's. The newest optimize Job of the
service is the template of the next, so that what was set once by an overlay stays set.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

from k8s.rollout.cluster import Object
from k8s.rollout.errors import Refused

CONTAINER = "optimize"
VERSION = "spanserve/version"
# What the controller wrote, for this Job's own pods.
_OWNED = ("controller-uid", "job-name")
_RESERVED = ("name", "output", "version")

EXITS = {
    1: "bad input, or the volume cannot be used",
    2: "a wrong option, or another build is published as this version",
    3: "a gate failed: the artifact is worse than allowed",
    137: "killed; out of memory?",
}


@dataclass(frozen=True)
class Changes:
    """What is to differ from the template.

    Attributes:
        image: The container's image; None for the same.
        options: `OPTION=VALUE`, or `OPTION` for a flag, without dashes in front.
    """

    image: str | None = None
    options: Sequence[str] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        """Raises Refused for an option that is not to be changed here."""
        for option in self.options:
            name = option.partition("=")[0]
            if name in _RESERVED or not name or name.startswith("-"):
                raise Refused(f"--set {option}: not an option that can be set here")

    def applied(self, container: Object) -> Object:
        """The container with the changes."""
        changed = copy.deepcopy(container)
        if self.image:
            changed["image"] = self.image
        for option in self.options:
            name, given, value = option.partition("=")
            changed["args"] = _set(changed.get("args") or [], name, value if given else None)
        return changed


def selector(name: str) -> str:
    """The labels of a service's optimize Jobs."""
    return f"app.kubernetes.io/component=optimize,spanserve/name={name}"


def version_of(job: Object) -> int | None:
    """The version that a Job publishes."""
    text = (job["metadata"].get("labels") or {}).get(VERSION, "")
    return int(text) if text.isdecimal() else None


def newest(jobs: Sequence[Object], version: int | None = None) -> Object | None:
    """The newest Job, or the newest of a version that is not being deleted."""
    candidates = [
        job
        for job in jobs
        if version is None
        or (version_of(job) == version and not job["metadata"].get("deletionTimestamp"))
    ]
    return max(candidates, key=_age, default=None)


def outcome(job: Object) -> str:
    """`complete`, `failed` or `running`."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            return str(condition["type"]).lower()
    return "running"


def failure(job: Object) -> str:
    """The Job controller's words on a failed Job."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["status"] == "True" and condition["type"] == "Failed":
            return " ".join(f"{condition.get('reason')}: {condition.get('message')}".split())
    return ""


def derived(template: Object, name: str, version: int, changes: Changes) -> Object:
    """A new Job after a template; raises Refused where that is no optimize Job.

    Args:
        template: A Job of the service.
        name: The new Job's name.
        version: What it is to publish.
        changes: What else is to differ.
    """
    new = copy.deepcopy(template)
    spec = new["spec"]
    spec.pop("selector", None)
    pod = spec["template"]
    for metadata in (new["metadata"], pod.setdefault("metadata", {})):
        metadata["labels"] = {
            label: value
            for label, value in (metadata.get("labels") or {}).items()
            if label.removeprefix("batch.kubernetes.io/") not in _OWNED
        } | {VERSION: str(version)}
    containers = pod["spec"]["containers"]
    position = _position(new)
    changed = changes.applied(containers[position])
    changed["args"] = _set(changed.get("args") or [], "version", str(version))
    containers[position] = changed
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": new["metadata"]["labels"]},
        "spec": spec,
    }


def fits(job: Object, changes: Changes) -> bool:
    """Whether a Job that exists already runs what the changes ask for."""
    container: Object = job["spec"]["template"]["spec"]["containers"][_position(job)]
    return changes.applied(container) == container


def _position(job: Object) -> int:
    containers = job["spec"]["template"]["spec"]["containers"]
    for position, container in enumerate(containers):
        if container["name"] == CONTAINER:
            return position
    raise Refused(f"job {job['metadata']['name']} has no container {CONTAINER!r}")


def _set(args: Sequence[str], name: str, value: str | None) -> list[str]:
    """The arguments with `--name value`, or with the flag `--name`, in its old place or last."""
    flag, changed = f"--{name}", list(args)
    new = [flag] if value is None else [flag, value]
    for position, argument in enumerate(changed):
        if argument.startswith(f"{flag}="):
            return [*changed[:position], *new, *changed[position + 1 :]]
        if argument == flag:
            rest = changed[position + 1 :]
            if rest and not rest[0].startswith("--"):
                rest = rest[1:]
            return [*changed[:position], *new, *rest]
    return changed + new


def _age(job: Object) -> tuple[str, str]:
    return job["metadata"].get("creationTimestamp") or "", job["metadata"]["name"]
