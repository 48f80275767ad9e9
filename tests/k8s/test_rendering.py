"""How manifests are rendered, and pods and images found in them."""

import os

import pytest

from tests.k8s import images, rendering
from tests.k8s.rendering import Pod, render


def test_a_folder_that_does_not_build_fails(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(AssertionError, match=r"absent\.yaml"):
        render(tmp_path)


def test_an_old_kubectl_is_no_reason_to_fail(monkeypatch, tmp_path):
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\necho \'{"kustomizeVersion": "v4.5.7"}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    rendering.kubectl.cache_clear()
    with pytest.raises(pytest.skip.Exception, match=r"v4\.5\.7"):
        rendering.kubectl()
    rendering.kubectl.cache_clear()


def test_containers_are_merged_as_kserve_does():
    base = {"args": ["a"], "env": [{"name": "X", "value": "1"}, {"name": "Y"}], "r": {"l": 1}}
    over = {"args": ["b"], "env": [{"name": "X", "value": "2"}], "r": {"m": 2}}
    assert rendering.merged(base, over) == {
        "args": ["a", "b"],
        "env": [{"name": "X", "value": "2"}, {"name": "Y"}],
        "r": {"l": 1, "m": 2},
    }


def test_init_containers_are_looked_at():
    pod = Pod("x", {"initContainers": [{"name": "a"}], "containers": [{"name": "b"}]}, kserve=False)
    assert [container["name"] for container in pod.containers] == ["a", "b"]


def test_stages_of_a_dockerfile(tmp_path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM x AS base\nRUN y\nFROM base as predictor\n")
    assert images.dockerfile_targets(dockerfile) == {"base", "predictor"}
