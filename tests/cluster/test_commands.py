"""What the journey on a cluster would run is right as far as that shows without one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from k8s.rollout.arguments import parser as rollout_parser
from tests.cluster import commands
from tests.cluster.commands import forwarded_ports, locust_command, rollout_command, write_overlay
from tests.k8s.arguments import locust


def test_the_overlay_renders(tmp_path):
    if not commands.OVERLAY.is_dir():
        pytest.skip("there are no manifests")
    try:
        text = commands.kubectl("kustomize", str(write_overlay(tmp_path, "mine")))
    except FileNotFoundError:
        pytest.skip("there is no kubectl")
    rendered = [item for item in yaml.safe_load_all(text) if item]
    assert {item["metadata"].get("namespace") for item in rendered} == {"mine"}
    one = {item["kind"]: item for item in rendered}
    model = one["InferenceService"]["spec"]["predictor"]["model"]
    assert model["resources"]["requests"]["cpu"] == "250m"
    assert model["storageUri"] == "pvc://spanserve-models/qa/1"
    (container,) = one["Job"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == "250m"
    assert "--version" in container["args"]
    assert "PersistentVolumeClaim" in one
    for item in rendered:
        assert "imagePullPolicy: Always" not in yaml.dump(item)


@pytest.mark.parametrize("arguments", [["apply", "2"], ["rollback"], ["status"]])
def test_the_rollouts_are_commands(arguments):
    command = rollout_command("mine", *arguments)
    assert rollout_parser().parse_args(command[3:]).namespace == "mine"


def test_the_load_test_is_a_command():
    command = locust_command("http://localhost:1", Path("results"))
    assert command[1:5] == ["-m", "locust", "-f", str(commands.ROOT / "loadtest" / "locustfile.py")]
    locust("the load test", command[5:], {})


def test_forwarded_ports_are_read():
    said = [
        "Forwarding from 127.0.0.1:41234 -> 8080\n",
        "Forwarding from 127.0.0.1:41235 -> 8081\n",
    ]
    assert forwarded_ports(iter(said), 2) == [41234, 41235]
    with pytest.raises(RuntimeError, match="ended"):
        forwarded_ports(iter(said[:1]), 2)


def test_without_a_cluster_it_says_why(monkeypatch, tmp_path):
    monkeypatch.delenv("SPANSERVE_TEST_CLUSTER", raising=False)
    assert commands.missing() == "SPANSERVE_TEST_CLUSTER is not 1"
    monkeypatch.setenv("SPANSERVE_TEST_CLUSTER", "1")
    monkeypatch.setattr(commands, "OVERLAY", tmp_path)
    if subprocess.run(["which", "kubectl"], capture_output=True, check=False).returncode == 0:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        assert "no cluster with KServe is reached" in (commands.missing() or "")
