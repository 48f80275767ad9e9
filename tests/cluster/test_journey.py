"""The whole life of a service on the cluster that kubeconfig names.

Opt in with SPANSERVE_TEST_CLUSTER=1. Needs KServe, the images `spanserve/predictor` and
`spanserve/optimize` where the nodes find them (loaded by hand will do), a default storage class,
and no GPU. Everything is made in a namespace of its own, which goes in the end.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from loadtest.local.servers import HOST
from tests.cluster.commands import (
    ROOT,
    forwarded,
    kubectl,
    locust_command,
    missing,
    rollout_command,
    write_overlay,
)
from tests.integration.calls import Inquiry, call, post

# The embedded checkpoint finds it.
QUESTION = "Who worked a little bit harder?"
CONTEXT = "The first little pig slept. The second little pig worked a little bit harder."
ANSWER = "second little pig"


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[str]:
    if why := missing():
        pytest.skip(why)
    name = f"spanserve-test-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--timeout=5m")


def test_from_nothing_to_deleted(namespace: str, tmp_path: Path) -> None:
    folder = tmp_path / "overlay"
    folder.mkdir()
    overlay = str(write_overlay(folder, namespace))
    kubectl("apply", "-k", overlay)
    # Waits for the Job that the overlay made, for the service, and tries it.
    rollout(namespace, "apply", "1")
    assert_answers(namespace, 1, tmp_path)
    with forwarded(namespace, tmp_path / "log") as server:
        run(locust_command(server.url, tmp_path / "results.json"))

    rollout(namespace, "apply", "2")
    assert_answers(namespace, 2, tmp_path)
    # Run again, it finds everything done.
    rollout(namespace, "apply", "2")
    rollout(namespace, "rollback")
    assert_answers(namespace, 1, tmp_path)
    status = rollout(namespace, "status")
    assert "published: 1, 2\n" in status
    assert "previous:  2\n" in status

    kubectl("delete", "-k", overlay, "--timeout=5m")
    kubectl("wait", "--for=delete", "pod", "--all", "-n", namespace, "--timeout=5m")


def rollout(namespace: str, *arguments: str) -> str:
    return run(rollout_command(namespace, *arguments))


def run(command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_answers(namespace: str, version: int, folder: Path) -> None:
    """V1, V2 and gRPC answer, from this version."""
    inquiry = Inquiry((QUESTION,), (CONTEXT,))
    with forwarded(namespace, folder / "log") as server:
        artifact = call(server, "GET", "/v2/models/qa/artifact").json
        assert artifact["artifact"]["version"] == version
        _, v1 = post(server, *inquiry.v1())
        assert ANSWER in v1["predictions"][0]["answer"]
        _, v2 = post(server, *inquiry.v2_json())
        assert v2["model_version"] == str(version)
        assert ANSWER in {o["name"]: o["data"][0] for o in v2["outputs"]}["answer"]
        with grpc.insecure_channel(f"{HOST}:{server.grpc_port}") as channel:
            answer = GRPCInferenceServiceStub(channel).ModelInfer(inquiry.grpc(), timeout=30)
    contents = {output.name: output.contents for output in answer.outputs}
    assert ANSWER in contents["answer"].bytes_contents[0].decode()
