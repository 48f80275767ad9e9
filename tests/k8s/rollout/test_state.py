"""What the driver reads out of an InferenceService and out of pods."""

from __future__ import annotations

import pytest

from k8s.rollout import pods, service

READY = [{"type": "Ready", "status": "True"}]


def a_service(generation, status):
    model = {"storageUri": "pvc://spanserve-models/qa/3"}
    metadata = {"name": "qa", "generation": generation, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"predictor": {"model": model}}, "status": status}


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({"observedGeneration": 2, "conditions": READY}, True),
        ({"conditions": READY}, True),
        # Of the spec before: what is ready is the old version.
        ({"observedGeneration": 1, "conditions": READY}, False),
        ({"observedGeneration": 2, "conditions": []}, False),
        ({}, False),
    ],
)
def test_ready_is_what_is_said_of_this_very_spec(status, ready):
    assert service.read(a_service(2, status)).ready is ready


@pytest.mark.parametrize("text", ["[]", "{", '{"verb": "apply"}', '"apply"'])
def test_an_annotation_that_somebody_has_spoilt_is_none(text):
    item = a_service(1, {})
    item["metadata"]["annotations"] = {service.UNFINISHED: text, service.PREVIOUS: "two"}
    state = service.read(item)
    assert (state.unfinished, state.previous) == (None, None)


def test_pods_that_leave_or_were_evicted_do_not_count():
    stays = {"metadata": {"name": "a"}, "status": {"phase": "Running"}}
    leaves = {"metadata": {"name": "b", "deletionTimestamp": "now"}, "status": {}}
    evicted = {"metadata": {"name": "c"}, "status": {"phase": "Failed", "reason": "Evicted"}}
    assert list(filter(pods.live, [stays, leaves, evicted])) == [stays]


def test_why_a_pod_waits():
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes:\nInsufficient cpu",
    }
    pod = {"status": {"phase": "Pending", "conditions": [unscheduled]}}
    assert pods.trouble(pod) == "Unschedulable 0/3 nodes: Insufficient cpu"
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    pod = {"status": {"containerStatuses": [{"name": "optimize", "state": waiting}]}}
    assert pods.trouble(pod) == "ImagePullBackOff"
