"""`rollback` and `status`, who may do what, and where the API server is not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from demo.servers import running
from k8s.rollout.arguments import EXAMPLES, parser
from tests.conftest import FAKE_SESSION
from tests.k8s.fake_api.cluster import JobEnd
from tests.k8s.fake_api.model import FakeModel
from tests.k8s.fake_api.server import Fault
from tests.k8s.rollout.conftest import ROOT
from tests.k8s.rollout_role import NEEDED, role


def test_back_and_forth(api, rollout):
    rollout("apply", "2")
    done = rollout("rollback")
    assert done.status == 0
    assert "version 1: serves, and answers" in done.out
    assert (api.cluster.served, api.cluster.annotation("previous-version")) == (1, "2")
    rollout("rollback")
    assert (api.cluster.served, api.cluster.annotation("previous-version")) == (2, "1")


def test_back_to_a_version_that_is_named(api, rollout):
    rollout("apply", "2")
    rollout("apply", "3")
    assert rollout("rollback", "--to", "1").status == 0
    assert (api.cluster.served, api.cluster.annotation("previous-version")) == (1, "3")


def test_nothing_to_go_back_to(api, rollout):
    done = rollout("rollback")
    assert done.status == 1
    assert "no previous version" in done.err


def test_back_to_what_does_not_serve(api, rollout):
    rollout("apply", "2")
    api.cluster.models[1].stop()
    api.cluster.models[1] = FakeModel(1, status=500)
    done = rollout("rollback")
    assert done.status == 3
    assert "version 2 is served again" in done.err
    assert (api.cluster.served, api.cluster.annotation("previous-version")) == (2, "1")


def test_a_dry_rollback_changes_nothing(api, rollout):
    rollout("apply", "2")
    done = rollout("rollback", "--dry-run")
    assert (done.status, api.cluster.served) == (0, 2)
    assert "qa/2 → pvc://spanserve-models/qa/1" in done.out


def test_status(api, rollout):
    rollout("apply", "2")
    api.cluster.job_ends[3] = JobEnd(3)
    rollout("apply", "3")
    done = rollout("status")
    assert done.status == 0
    said = dict(line.split(":", 1) for line in done.out.splitlines() if "url" not in line)
    said = {name: value.strip() for name, value in said.items()}
    assert said["published"] == "1, 2"
    assert (said["served"], said["ready"], said["previous"]) == ("2", "yes", "1")
    assert said["last job"].startswith("optimize-qa-3: failed (PodFailurePolicy")
    assert "unfinished" not in said


def test_status_of_a_rollout_that_was_interrupted(api, rollout):
    api.faults.append(Fault("get", "pods/portforward", 403, times=99))
    rollout("apply", "2")
    assert "unfinished: apply 2; run it again" in rollout("status").out


def test_it_needs_no_more_than_its_role(api, rollout):
    api.cluster.job_ends[2] = JobEnd(3)
    rollout("apply", "2")
    api.cluster.job_ends.clear()
    rollout("apply", "2", "--retry")
    api.cluster.never_ready.add(3)
    rollout("apply", "3", "--timeout", "1")
    rollout("rollback")
    rollout("status")
    assert set(api.used) <= role()
    # And every call was made, or the line above says little.
    looked = {pair for pair in role() if pair[0] not in ("watch",)}
    assert looked - set(api.used) == {
        ("list", "inferenceservices"),
        ("get", "pods"),
    }


def test_the_role_is_the_agreed_one():
    assert role() == {(verb, resource) for resource, verbs in NEEDED.items() for verb in verbs}


@pytest.mark.parametrize(
    "pair",
    [
        ("list", "jobs"),
        ("create", "jobs"),
        ("get", "inferenceservices"),
        ("patch", "inferenceservices"),
        ("list", "pods"),
        ("create", "pods/portforward"),
    ],
)
def test_what_is_forbidden_is_named(api, rollout, pair):
    api.role -= {pair}
    done = rollout("apply", "2")
    assert done.status == 1
    assert done.err.count("\n") == 1
    verb, resource = pair
    assert verb in done.err
    assert f"{resource} in namespace shop (403)" in done.err


def test_credentials_that_are_not_accepted(api, rollout):
    api.faults.append(Fault("get", "inferenceservices", 401))
    done = rollout("status")
    assert done.status == 1
    assert "credentials are not accepted (401)" in done.err


def test_no_api_server(api, rollout, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    text = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text(text.replace(api.url, f"http://127.0.0.1:{port}"))
    done = rollout("status", "--timeout", "0.5")
    assert done.status == 1
    assert done.err == (
        f"rollout: error: http://127.0.0.1:{port}: cannot get inferenceservices: "
        "Connection refused\n"
    )


def test_an_api_server_that_speaks_no_tls(api, rollout, tmp_path):
    text = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text(text.replace("http://", "https://"))
    done = rollout("status", "--timeout", "0.5")
    assert done.status == 1
    assert "cannot get inferenceservices: SSLError" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "No configuration found"), ("{", "kubeconfig"), ("[]", "kubeconfig")],
)
def test_no_kubeconfig(monkeypatch, rollout, tmp_path, text, said):
    path = tmp_path / "other"
    if text:
        path.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(path))
    done = rollout("status")
    assert done.status == 1
    assert said in done.err
    assert done.err.count("\n") == 1


def test_another_context_namespace_and_name(api, rollout):
    assert rollout("status", "--context", "fake").status == 0
    assert "nowhere" in rollout("status", "--context", "nowhere").err
    done = rollout("status", "--namespace", "elsewhere")
    assert "inferenceservices in namespace elsewhere (403)" in done.err
    assert "inferenceservice qb is not in" in rollout("status", "--name", "qb").err


@pytest.mark.parametrize("url", ["qa:8080", "ftp://x", "http://", "http://x:port"])
def test_a_url_that_is_none(rollout, url):
    done = rollout("apply", "2", "--url", url)
    assert done.status == 1
    assert done.err.startswith(f"rollout: error: --url {url}: ")


def test_the_examples_of_the_help_are_ones():
    lines = [line for line in EXAMPLES.splitlines() if "python -m k8s.rollout " in line]
    assert len(lines) == 6
    for line in lines:
        command = line.split("python -m k8s.rollout ")[1].split("  ")[0]
        parser().parse_args(command.split())


def test_help_answers():
    command = [sys.executable, "-m", "k8s.rollout", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "apply 2" in done.stdout


def test_a_real_predictor_through_port_forwarding(api, rollout, make_artifact, tmp_path):
    """Its pod is this machine; the session is a fake one, which answers with some span."""
    folder = make_artifact("v2", version=2, null_score_diff_threshold=None)
    settings = {"qa": {"session": FAKE_SESSION}}
    with running({"qa": folder}, settings, tmp_path) as (server,):
        api.cluster.models[2] = model = FakeModel(2)
        model.stop()
        model.port, model.stop = server.port, lambda: None
        done = rollout("apply", "2")
    assert done.status == 0, done.err
    assert json.loads(api.cluster.annotation("unfinished-rollout") or "null") is None
