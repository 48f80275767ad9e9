"""The state of a rollout, all of which is in the InferenceService; no calls.

The served version is the end of `storageUri`. Two annotations say the rest, and change together
with it, in one patch: what was served before, and that a version is not yet proven. So whoever
comes next, after a crash too, knows what there is to do.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from k8s.rollout.cluster import Object
from k8s.rollout.errors import Refused

PREVIOUS = "spanserve/previous-version"
UNFINISHED = "spanserve/unfinished-rollout"


@dataclass(frozen=True)
class Unfinished:
    """A version that is in place and not yet proven.

    Attributes:
        verb: Who put it there: apply or rollback.
        version: The version.
        back: What to put in its place if it fails; None: leave it.
        older: What PREVIOUS becomes again in that case.
    """

    verb: str
    version: int
    back: int | None
    older: int | None


@dataclass(frozen=True)
class State:
    """What an InferenceService says.

    Attributes:
        name: Its name.
        served: The version its storageUri names; it need not be ready.
        previous: What was served before, if anything.
        unfinished: Set while `served` is not proven.
        ready: Whether its controller has seen this very spec and calls it ready.
        reason: Why it is not ready, in the controller's words.
        url: Its outside URL, if it has one.
    """

    name: str
    served: int
    previous: int | None
    unfinished: Unfinished | None
    ready: bool
    reason: str
    url: str | None
    prefix: str
    resource_version: str

    def uri(self, version: int) -> str:
        """The storageUri of a version."""
        return f"{self.prefix}{version}"


def read(service: Object) -> State:
    """Reads an InferenceService; raises Refused for one that names no version."""
    metadata, status = service["metadata"], service.get("status") or {}
    name: str = metadata["name"]
    model = service["spec"].get("predictor", {}).get("model") or {}
    uri = model.get("storageUri") or ""
    named = re.fullmatch(r"(pvc://.+/)([1-9][0-9]*)", uri)
    if not named:
        raise Refused(
            f"inferenceservice {name}: spec.predictor.model.storageUri {uri!r} is not like "
            "pvc://<claim>/<name>/<version>"
        )
    served = int(named[2])
    annotations = metadata.get("annotations") or {}
    ready, reason = _ready(metadata.get("generation", 0), status)
    return State(
        name=name,
        served=served,
        previous=_version(annotations.get(PREVIOUS)),
        unfinished=_unfinished(annotations.get(UNFINISHED), served),
        ready=ready,
        reason=reason,
        url=status.get("url"),
        prefix=named[1],
        resource_version=metadata["resourceVersion"],
    )


def change(
    state: State, version: int, previous: int | None, unfinished: Unfinished | None
) -> Object:
    """The merge patch from `state`, and only from it, to another version."""
    annotations: dict[str, Any] = {
        PREVIOUS: str(previous) if previous else None,
        UNFINISHED: json.dumps(asdict(unfinished)) if unfinished else None,
    }
    return {
        "metadata": {"resourceVersion": state.resource_version, "annotations": annotations},
        "spec": {"predictor": {"model": {"storageUri": state.uri(version)}}},
    }


def _ready(generation: int, status: Object) -> tuple[bool, str]:
    if status.get("observedGeneration", generation) < generation:
        return False, "KServe has not seen the change yet"
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    ready = conditions.get("Ready", {})
    if ready.get("status") == "True":
        return True, ""
    said = ready.get("message") or ready.get("reason") or "it has no condition Ready"
    return False, f"not ready: {said}"


def _version(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and int(text) else None


def _unfinished(text: str | None, served: int) -> Unfinished | None:
    try:
        said = Unfinished(**json.loads(text or "null"))
    except (ValueError, TypeError):
        return None
    # Whoever has since applied a manifest has put its version in place and ended the rollout.
    return said if said.version == served else None
