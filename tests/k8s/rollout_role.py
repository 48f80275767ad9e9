"""What the account of the rollout driver may do: (verb, resource) pairs."""

from __future__ import annotations

from pathlib import Path

import yaml

BASE = Path(__file__).resolve().parent.parent.parent / "k8s" / "base"
NAME = "spanserve-rollout"
NEEDED = {
    "jobs": ("get", "list", "watch", "create", "delete"),
    "pods": ("get", "list", "watch"),
    "pods/log": ("get",),
    "pods/portforward": ("create", "get"),
    "inferenceservices": ("get", "list", "watch", "patch"),
    "services": ("get",),
}


def role() -> set[tuple[str, str]]:
    """The Role of the manifests or, where there are none, what they are to hold."""
    for path in sorted(BASE.glob("*.y*ml")):
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if manifest and manifest["kind"] == "Role" and manifest["metadata"]["name"] == NAME:
                return {
                    (verb, resource)
                    for rule in manifest["rules"]
                    for verb in rule["verbs"]
                    for resource in rule["resources"]
                }
    return {(verb, resource) for resource, verbs in NEEDED.items() for verb in verbs}
