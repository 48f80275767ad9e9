"""Killed, cut off or in each other's way: run again, a rollout ends well."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest

from tests.k8s.fake_api.cluster import JobEnd
from tests.k8s.fake_api.model import FakeModel
from tests.k8s.fake_api.server import Fault

JOBS, SERVICES, FORWARD = "jobs", "inferenceservices", "pods/portforward"
# The calls of a rollout that changes something, and some of those that look.
POINTS = [
    ("list", JOBS, 1),
    ("create", JOBS, 1),
    ("get", JOBS, 2),
    ("patch", SERVICES, 1),
    ("get", SERVICES, 5),
    ("get", FORWARD, 1),
    ("patch", SERVICES, 2),
]


def assert_served(api, version, previous):
    cluster = api.cluster
    assert cluster.served == version
    assert cluster.annotation("previous-version") == previous
    assert cluster.annotation("unfinished-rollout") is None


@pytest.mark.parametrize(
    ("verb", "resource", "nth", "action"),
    # A forwarded connection has no single answer to be killed after.
    [(*p, "kill") for p in POINTS] + [(*p, "kill-after") for p in POINTS if p[1] != FORWARD],
)
def test_killed_and_run_again(api, rollout, start, verb, resource, nth, action):
    api.faults.append(Fault(verb, resource, action, nth))
    killed = start("apply", "2")
    assert killed.wait(60) == -signal.SIGKILL
    done = rollout("apply", "2")
    assert done.status == 0, done.err
    assert_served(api, 2, "1")
    assert api.cluster.jobs_of(2) == ["optimize-qa-2"]


@pytest.mark.parametrize("action", ["kill", "kill-after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_while_a_version_is_taken_back(api, rollout, start, nth, action):
    """The patches: version 2 in place, version 1 put back, and that noted as done."""
    api.cluster.models[2] = FakeModel(2, wrong={"answer": ""})
    api.faults.append(Fault("patch", SERVICES, action, nth))
    assert start("apply", "2").wait(60) == -signal.SIGKILL
    assert rollout("apply", "2").status == 3
    assert_served(api, 1, None)


@pytest.mark.parametrize("action", ["kill", "kill-after"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_rollback_that_is_killed_goes_on(api, rollout, start, nth, action):
    rollout("apply", "2")
    api.faults.append(Fault("patch", SERVICES, action, nth))
    assert start("rollback").wait(60) == -signal.SIGKILL
    if (nth, action) != (2, "kill-after"):  # then all was done
        assert rollout("rollback").status == 0
    assert_served(api, 1, "2")


@pytest.mark.parametrize("point", [("create", JOBS), ("delete", JOBS)])
@pytest.mark.parametrize("action", ["kill", "kill-after"])
def test_a_retry_that_is_killed_still_has_a_job_to_go_by(api, rollout, start, point, action):
    api.cluster.job_ends[2] = JobEnd(3, ("optimize: error: no",))
    del api.cluster.objects["jobs", "optimize-qa-1"]
    api.cluster.add_job(2)
    api.cluster.job_ends.clear()
    api.faults.append(Fault(*point, action))
    assert start("apply", "2", "--retry").wait(60) == -signal.SIGKILL
    done = rollout("apply", "2", "--retry")
    assert done.status == 0, done.err
    assert_served(api, 2, "1")


@pytest.mark.parametrize("action", ["drop", "drop-after"])
@pytest.mark.parametrize(("verb", "resource", "nth"), POINTS)
def test_a_lost_connection_is_made_again(api, rollout, verb, resource, nth, action):
    api.faults.append(Fault(verb, resource, action, nth))
    done = rollout("apply", "2")
    assert done.status == 0, done.err
    assert_served(api, 2, "1")
    assert api.cluster.jobs_of(2) == ["optimize-qa-2"]


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(("verb", "resource", "nth"), POINTS)
def test_a_busy_api_server_is_asked_again(api, rollout, verb, resource, nth, status):
    api.faults.append(Fault(verb, resource, status, nth))
    assert rollout("apply", "2").status == 0
    assert_served(api, 2, "1")


def test_a_service_that_changes_under_the_patch_is_read_again(api, rollout):
    """As when KServe writes its status: HTTP 409."""
    api.faults.append(Fault("patch", SERVICES, 409, times=3))
    assert rollout("apply", "2").status == 0
    assert_served(api, 2, "1")


def test_ctrl_c_says_how_to_go_on(api, rollout, start):
    api.cluster.never_ready.add(2)
    process = start("apply", "2")
    deadline = time.monotonic() + 60
    while api.cluster.served != 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "rollout: interrupted; the same command again goes on from here\n"
    assert "created" in out
    api.cluster.never_ready.clear()
    assert rollout("apply", "2").status == 0
    assert_served(api, 2, "1")


def test_two_that_apply_the_same_version_both_end_well(api, rollout, start):
    other = start("apply", "2")
    done = rollout("apply", "2")
    out, err = other.communicate(timeout=60)
    assert (done.status, other.returncode) == (0, 0), done.err + err
    assert_served(api, 2, "1")
    assert api.cluster.jobs_of(2) == ["optimize-qa-2"]


def test_of_two_that_apply_different_versions_one_is_refused(api, rollout, start):
    """The second comes while the first waits for its pods."""
    api.cluster.never_ready.add(2)
    first = start("apply", "2")
    deadline = time.monotonic() + 60
    while api.cluster.served != 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    done = rollout("apply", "3")
    assert done.status == 1
    assert "the rollout of version 2 is not finished" in done.err
    api.cluster.never_ready.clear()
    assert first.wait(60) == 0
    assert_served(api, 2, "1")


def test_two_that_decide_at_once_do_not_both_have_their_way(api, rollout):
    """Both have read version 1 as served; the second's patch is refused, and it reads again."""
    raced = Raced(api)
    api.cluster.merge = raced
    done = rollout("apply", "2")
    assert raced.done
    assert done.status == 1
    assert "`apply 3`" in done.err
    assert api.cluster.served == 3


class Raced:
    """Refuses the first patch, for another rollout's has just landed."""

    def __init__(self, api):
        self.api, self.merge, self.done = api, api.cluster.merge, False

    def __call__(self, item, patch):
        if self.done:
            return self.merge(item, patch)
        self.done = True
        said = {"verb": "apply", "version": 3, "back": 1, "older": None}
        theirs = {
            "spanserve/previous-version": "1",
            "spanserve/unfinished-rollout": json.dumps(said),
        }
        uri = {"storageUri": "pvc://spanserve-models/qa/3"}
        patch = {"metadata": {"annotations": theirs}, "spec": {"predictor": {"model": uri}}}
        self.api.cluster.objects[SERVICES, "qa"] = merged = self.merge(item, patch)
        self.api.cluster.touch(merged)
        return None


def test_a_version_that_somebody_else_replaces_is_not_put_back(api, rollout, start):
    api.cluster.never_ready.add(2)
    process = start("apply", "2")
    deadline = time.monotonic() + 60
    while api.cluster.served != 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert rollout("rollback").status == 0
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "version 1 of qa was put in place by somebody else" in err
    assert_served(api, 1, None)


def test_the_threads_of_forwarded_connections_end(api, rollout):
    rollout("apply", "2")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [t for t in threading.enumerate() if "port forward" in t.name]
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError(left)
