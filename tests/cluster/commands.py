"""The commands of the journey on a cluster: what is applied, and how the service is reached."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from demo.servers import Server

ROOT = Path(__file__).resolve().parent.parent.parent
OVERLAY = ROOT / "k8s" / "overlays" / "cpu"
GRPC = ROOT / "k8s" / "components" / "grpc"
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> \d+")
_SECONDS = 1200


def write_overlay(folder: Path, namespace: str) -> Path:
    """An overlay of `cpu` with gRPC, in a namespace of its own and small enough for a laptop."""
    # Two predictors stand side by side while a version is rolled out.
    little = {"requests": {"cpu": "250m"}}
    patches = [
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "qa"},
            "spec": {"predictor": {"model": {"resources": little}}},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "optimize-qa-1"},
            "spec": {
                "template": {
                    "spec": {"containers": [{"name": "optimize", "resources": little}]},
                }
            },
        },
    ]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [os.path.relpath(OVERLAY, folder.resolve())],
        "components": [os.path.relpath(GRPC, folder.resolve())],
        "patches": [{"patch": json.dumps(patch)} for patch in patches],
    }
    # YAML is a superset of JSON.
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
    return folder


def kubectl(*arguments: str, timeout: float = _SECONDS) -> str:
    """Runs kubectl; raises where it fails, with what it said."""
    done = subprocess.run(
        ["kubectl", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def missing() -> str | None:
    """Why the journey cannot be made here; None where it can."""
    if os.environ.get("SPANSERVE_TEST_CLUSTER") != "1":
        return "SPANSERVE_TEST_CLUSTER is not 1"
    if not OVERLAY.is_dir():
        return f"there is no {OVERLAY}"
    if shutil.which("kubectl") is None:
        return "there is no kubectl"
    try:
        kubectl("get", "crd", "inferenceservices.serving.kserve.io", "--request-timeout=10s")
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return f"no cluster with KServe is reached: {error}"
    return None


def rollout_command(namespace: str, *arguments: str) -> list[str]:
    """`python -m k8s.rollout` in a namespace."""
    return [sys.executable, "-m", "k8s.rollout", *arguments, "--namespace", namespace]


def locust_options(results: Path) -> list[str]:
    """A short run of the load test."""
    few = ["--lengths", "8,64", "--requests-per-length", "5", "--warmup", "1"]
    # Wide bounds, as a cluster's machines are not known; a broken one fails the command.
    few += ["--max-p99", "5000", "--min-rate", "0.2", "--max-error-rate", "0"]
    return [*few, "--target-name", "cluster", "--results", str(results)]


def locust_command(url: str, results: Path) -> list[str]:
    """Locust with those options against a URL."""
    scenario = str(ROOT / "loadtest" / "locustfile.py")
    head = [sys.executable, "-m", "locust", "-f", scenario, "--headless", "--only-summary"]
    return [*head, "--host", url, *locust_options(results)]


def forwarded_ports(lines: Iterator[str], count: int) -> list[int]:
    """The local ports that `kubectl port-forward` says it has taken."""
    ports: list[int] = []
    for line in lines:
        found = _FORWARDING.match(line)
        if found:
            ports.append(int(found[1]))
        if len(ports) == count:
            return ports
    raise RuntimeError("kubectl port-forward ended")


@contextlib.contextmanager
def forwarded(namespace: str, log: Path) -> Iterator[Server]:
    """The predictor on loopback, REST and gRPC, while the context lasts; needs no ingress."""
    # IPv4 alone, so that each port is announced once.
    command = ["kubectl", "port-forward", "--address", "127.0.0.1", "--namespace", namespace]
    command += ["deployment/qa-predictor", ":8080", ":8081"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=False)
    assert process.stdout
    try:
        lines = (line.decode() for line in process.stdout)
        rest, grpc = forwarded_ports(lines, 2)
        yield Server("cluster", rest, log, process, grpc)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
