"""`apply` against a fake API server, over HTTP and with the real client."""

from __future__ import annotations

import json

import pytest

from k8s.rollout.__main__ import main
from tests.k8s.fake_api.cluster import LOG, JobEnd
from tests.k8s.fake_api.model import FakeModel
from tests.k8s.fake_api.server import Fault


def unfinished(api):
    return json.loads(api.cluster.annotation("unfinished-rollout") or "null")


def test_a_version_is_published_served_and_proven(api, rollout):
    done = rollout("apply", "2")
    assert done.status == 0, done.err
    assert api.cluster.served == 2
    assert api.cluster.annotation("previous-version") == "1"
    assert unfinished(api) is None
    for line in LOG:
        assert done.out.count(line) == 1
    assert "url: http://qa.shop.example.com\n" in done.out
    assert "url: http://qa-predictor.shop.svc.cluster.local\n" in done.out


def test_the_pods_of_the_version_before_are_not_taken_for_it(api, rollout):
    """KServe calls the service ready all the while, for the old pods are."""
    done = rollout("apply", "2")
    assert "serves version 1" in done.out
    assert done.out.index("serves version 1") < done.out.index("version 2: serves, and answers")


def test_the_job_is_made_after_the_newest(api, rollout):
    rollout("apply", "2", "--set", "max-f1-drop=2", "--set", "triton", "--image", "own:2")
    assert rollout("apply", "3", "--set", "model=hub/id").status == 0
    job = api.cluster.objects["jobs", "optimize-qa-3"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "own:2"
    assert " ".join(container["args"]) == (
        "build --model hub/id --output /models --name qa --version 3 --max-f1-drop 2 --triton"
    )
    assert job["metadata"]["labels"]["spanserve/version"] == "3"
    assert job["spec"]["template"]["metadata"]["labels"]["spanserve/version"] == "3"
    assert job["spec"]["podFailurePolicy"]


def test_again_changes_nothing(api, rollout):
    rollout("apply", "2")
    before = json.dumps(api.cluster.service)
    done = rollout("apply", "2")
    assert done.status == 0
    assert json.dumps(api.cluster.service) == before
    assert api.cluster.jobs_of(2) == ["optimize-qa-2"]


def test_what_an_overlay_has_applied_is_proven(api, rollout):
    done = rollout("apply", "1")
    assert (done.status, api.cluster.annotation("previous-version")) == (0, None)


@pytest.mark.parametrize(
    ("code", "log", "said"),
    [
        (3, "optimize: error: int8: F1 fell by 2.1", "exit code 3 (a gate failed"),
        (1, "optimize: error: /models: read-only", "exit code 1 (bad input"),
        (2, "optimize: error: another build", "exit code 2 (a wrong option, or another build"),
    ],
)
def test_a_job_that_fails_leaves_the_service_alone(api, rollout, code, log, said):
    api.cluster.job_ends[2] = JobEnd(code, (LOG[0], log))
    for _ in range(2):  # the second finds the failed job
        done = rollout("apply", "2")
        assert done.status == 3
        assert said in done.err
        assert log in done.err
        assert done.err.count("\n") == 1
        assert api.cluster.served == 1
    assert unfinished(api) is None


def test_retry_replaces_a_failed_job(api, rollout):
    api.cluster.job_ends[2] = JobEnd(3, ("optimize: error: no",))
    assert rollout("apply", "2").status == 3
    api.cluster.job_ends.clear()
    assert "--retry" in rollout("apply", "2", "--set", "max-f1-drop=9").err
    assert rollout("apply", "2", "--retry", "--set", "max-f1-drop=9").status == 0
    (name,) = api.cluster.jobs_of(2)
    job = api.cluster.objects["jobs", name]
    assert "9" in job["spec"]["template"]["spec"]["containers"][0]["args"]


def test_retry_leaves_a_good_job_alone(api, rollout):
    rollout("apply", "2")
    assert rollout("apply", "2", "--retry").status == 0
    assert api.cluster.jobs_of(2) == ["optimize-qa-2"]


def test_a_version_that_never_gets_ready_is_taken_back(api, rollout):
    rollout("apply", "2")
    api.cluster.never_ready.add(3)
    done = rollout("apply", "3", "--timeout", "1")
    assert done.status == 3
    assert "CrashLoopBackOff" in done.err
    assert "version 2 is served again" in done.err
    assert (api.cluster.served, api.cluster.annotation("previous-version")) == (2, "1")
    assert unfinished(api) is None


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"wrong": {"answer": ""}}, "no answer to"),
        ({"wrong": {"score": None}}, "no finite number"),
        ({"wrong": {"score": float("nan")}}, "no finite number"),
        ({"wrong": {"answer": "Paris"}}, "is not the context's text"),
        ({"wrong": {"start": -1}}, "is not the context's text"),
        ({"wrong": {"score": "absent"}}, "lacks one of"),
        ({"status": 500}, "HTTP 500: out of order"),
        ({"status": 400}, "HTTP 400: out of order"),
    ],
)
def test_a_version_that_answers_wrongly_is_taken_back(api, rollout, model, said):
    api.cluster.models[2] = FakeModel(2, **model)
    done = rollout("apply", "2")
    assert done.status == 3
    assert said in done.err
    assert "version 1 is served again" in done.err
    assert (api.cluster.served, api.cluster.annotation("previous-version")) == (1, None)


def test_a_version_that_is_not_what_its_folder_says_is_taken_back(api, rollout):
    api.cluster.models[2] = FakeModel(7)
    done = rollout("apply", "2", "--timeout", "1")
    assert done.status == 3
    assert "serves version 7" in done.err
    assert api.cluster.served == 1


def test_a_busy_service_is_asked_again(api, rollout):
    api.cluster.models[2] = busy = FakeModel(2, status=429)
    done = rollout("apply", "2", "--timeout", "1")
    assert done.status == 3
    assert "HTTP 429" in done.err
    busy.stop()


def test_a_pod_that_is_ready_but_does_not_listen_is_asked_again(api, rollout):
    api.cluster.models[2] = silent = FakeModel(2)
    silent.stop()
    done = rollout("apply", "2", "--timeout", "1")
    assert done.status == 3
    assert "no answer: " in done.err
    assert api.cluster.served == 1


def test_what_was_served_before_and_fails_too_is_said(api, rollout):
    api.cluster.models[2] = FakeModel(2, wrong={"answer": ""})
    api.cluster.models[1] = FakeModel(1, wrong={"answer": ""})
    done = rollout("apply", "2")
    assert done.status == 3
    assert "version 1 was put back, but does not serve either" in done.err
    assert api.cluster.served == 1


def test_a_version_in_place_that_fails_is_not_replaced(api, rollout):
    api.cluster.models[1] = FakeModel(1, wrong={"answer": ""})
    done = rollout("apply", "1")
    assert done.status == 3
    assert "nothing was changed" in done.err


def test_no_job_to_make_one_after(api, rollout):
    del api.cluster.objects["jobs", "optimize-qa-1"]
    done = rollout("apply", "2")
    assert done.status == 1
    assert "apply an overlay first" in done.err


def test_no_service(api, rollout):
    del api.cluster.objects["inferenceservices", "qa"]
    done = rollout("apply", "2")
    assert done.status == 1
    assert "inferenceservice qa is not in namespace shop" in done.err
    assert api.cluster.jobs_of(2) == []


def test_a_service_without_version(api, rollout):
    api.cluster.service["spec"]["predictor"]["model"]["storageUri"] = "pvc://models/triton"
    done = rollout("apply", "2")
    assert done.status == 1
    assert "not like pvc://<claim>/<name>/<version>" in done.err


def test_another_rollout_that_is_not_finished_comes_first(api, rollout):
    api.cluster.never_ready.add(2)
    api.faults.append(Fault("get", "pods/portforward", 403, times=99))
    assert rollout("apply", "2").status == 1
    api.faults.clear()
    done = rollout("apply", "3")
    assert done.status == 1
    assert "`apply 2`" in done.err
    assert api.cluster.jobs_of(3) == []
    assert rollout("rollback").status == 0
    assert rollout("apply", "3").status == 0
    assert api.cluster.annotation("previous-version") == "1"


def test_an_overlay_applied_meanwhile_ends_a_rollout(api, rollout):
    api.faults.append(Fault("get", "pods/portforward", 403, times=99))
    assert rollout("apply", "2").status == 1
    api.faults.clear()
    api.cluster.service["spec"]["predictor"]["model"]["storageUri"] = "pvc://spanserve-models/qa/1"
    assert rollout("apply", "3").status == 0


def test_a_dry_run_changes_nothing(api, rollout):
    before = json.dumps(api.cluster.service["spec"])
    done = rollout("apply", "2", "--dry-run")
    assert done.status == 0
    assert "job optimize-qa-2: created after optimize-qa-1" in done.out
    assert "pvc://spanserve-models/qa/1 → pvc://spanserve-models/qa/2" in done.out
    assert api.cluster.jobs_of(2) == []
    assert json.dumps(api.cluster.service["spec"]) == before


def test_by_url(api, rollout):
    api.cluster.models[2] = model = FakeModel(2)
    done = rollout("apply", "2", "--url", model.url)
    assert done.status == 0
    assert ("get", "pods/portforward") not in api.used


def test_a_headless_service_is_named_with_its_port(api, rollout):
    api.cluster.objects["services", "qa-predictor"]["spec"]["clusterIP"] = "None"
    assert "http://qa-predictor.shop.svc.cluster.local:8080\n" in rollout("apply", "2").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply"],
        ["apply", "0"],
        ["apply", "two"],
        ["rollback", "--to", "-1"],
        ["status", "--timeout", "nan"],
        ["apply", "2", "--smoke-question", " "],
        [],
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["version=3", "name=x", "output", "--max-f1-drop=2", "=x"])
def test_options_that_are_not_to_be_set(rollout, option):
    done = rollout("apply", "2", f"--set={option}")
    assert done.status == 1
    assert done.err.startswith("rollout: error: --set")
