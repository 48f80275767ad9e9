"""The predictor in front of a real Triton server, which `make triton-server` installs."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from benchmarks.errors import BenchmarkError
from benchmarks.triton import server as triton_server
from demo.servers import running
from loadtest.local.servers import HOST, stop
from optimize.publishing import triton
from tests.conftest import ROOT
from tests.integration.answers import infer, rest_values
from tests.integration.calls import V2, Inquiry, ask, call, post, tensor

SESSION = "remote"
AWAY = "the server that runs the model is not available"
SECONDS = 60  # for a server that comes back


@pytest.fixture(scope="module")
def repository(fp32, tmp_path_factory):
    """A Triton repository of the artifact, with a model that is not the artifact's."""
    artifact = tmp_path_factory.mktemp("root") / "qa" / "1"
    shutil.copytree(fp32, artifact)
    triton.publish(artifact, instances=1)
    root = artifact.parent.parent / "triton"
    shutil.copytree(root / "qa", root / "other")
    config = root / "other" / "config.pbtxt"
    lines = config.read_text().replace('name: "qa"', 'name: "other"').splitlines()
    config.write_text("\n".join(line for line in lines if "token_type_ids" not in line))
    return root


@pytest.fixture(scope="module")
def remote(repository, tmp_path_factory):
    """A running Triton that can be stopped, and started again where it was."""
    folder = tmp_path_factory.mktemp("triton")
    try:
        triton_server.Installation()
    except BenchmarkError as error:
        pytest.skip(str(error))
    with contextlib.ExitStack() as stack:

        def start(ports=None):
            return stack.enter_context(triton_server.running(repository, folder, ports=ports))

        server = start()
        ports = server.port, server.grpc_port
        state = SimpleNamespace(url=f"{HOST}:{server.grpc_port}", process=server.process)

        def start_again():
            state.process = start(ports).process

        state.start_again = start_again
        yield state


@pytest.fixture(scope="module")
def front(remote, fp32, tmp_path_factory):
    """A predictor whose model Triton runs."""
    settings = {"session": SESSION, "remote_url": remote.url, "remote_timeout": 10}
    logs = tmp_path_factory.mktemp("logs")
    with running({"front": fp32}, {"front": settings}, logs, grpc=True) as (only,):
        yield only


def paragraphs():
    """Each paragraph's request: all its questions and their one context."""
    path = ROOT / "demo" / "data" / "questions.json"
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            questions = [qa["question"] for qa in paragraph["qas"]]
            context = [paragraph["context"]]
            yield {
                "inputs": [tensor("question", questions), tensor("context", context)],
                "parameters": {"top_k": 3},
            }


def wait_ready(front):
    deadline = time.monotonic() + SECONDS
    while call(front, "GET", "/v2/models/qa/ready").status != 200:
        assert time.monotonic() < deadline, "not ready again"
        time.sleep(0.1)


def check_equal(found, wanted):
    """The same answers; fp32 sums in another order with other threads and neighbours."""
    assert found.keys() == wanted.keys()
    for name in ("answer", "start", "end", "sequence_length"):
        assert found[name] == wanted[name]
    assert found["score"] == pytest.approx(wanted["score"], rel=1e-5)
    difference = pytest.approx(wanted["null_score_diff"], rel=1e-5, abs=1e-5)
    assert found["null_score_diff"] == difference


def grpc_status(front):
    with grpc.insecure_channel(f"{HOST}:{front.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            GRPCInferenceServiceStub(channel).ModelInfer(Inquiry().grpc(), timeout=SECONDS)
        return caught.value.code().name, caught.value.details()


def test_the_answers_are_the_predictors_own(front, server):
    """fp32, several at a time, so that runs hold questions of several requests."""
    bodies = list(paragraphs())
    with ThreadPoolExecutor(4) as pool:
        through_triton = list(pool.map(lambda body: rest_values(infer(front, body)), bodies))
    questions = 0
    for body, found in zip(bodies, through_triton, strict=True):
        wanted = rest_values(infer(server, body))
        questions += len(wanted["null_score_diff"])
        check_equal(found, wanted)
    assert questions >= 200


def test_slow_triton(front, remote, expected):
    remote.process.send_signal(signal.SIGSTOP)
    try:
        status, body = post(front, V2, ask())
        assert status == 504
        assert body == {"error": "the server that runs the model did not answer within 10 s"}
        assert call(front, "GET", "/v2/models/qa/ready").status == 503
    finally:
        remote.process.send_signal(signal.SIGCONT)
    wait_ready(front)
    check_equal(rest_values(infer(front, ask())), expected)


def test_triton_goes_and_comes_back(front, remote, expected):
    stop(remote.process)
    try:
        assert post(front, V2, ask()) == (503, {"error": AWAY})
        assert grpc_status(front) == ("UNAVAILABLE", AWAY)
        for path in ("/v2/models/qa/ready", "/v2/health/ready", "/v1/models/qa"):
            assert call(front, "GET", path).status == 503
        # It would not help to start the predictor again.
        assert call(front, "GET", "/v2/health/live").status == 200
    finally:
        remote.start_again()
    wait_ready(front)
    check_equal(rest_values(infer(front, ask())), expected)
    log = front.log.read_text()
    assert "not ready: qa version 1" in log
    assert "ready again: qa version 1" in log


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("other", "is another model: it takes attention_mask INT64 [-1, -1], input_ids INT64"),
        ("nobody", "is not ready after 1 s: the model is not loaded there"),
        ("qa-batched", "does not run 204 rows of 5 tokens: INVALID_ARGUMENT"),
    ],
)
def test_a_wrong_model_is_refused_at_load(remote, fp32, model, line):
    """With the address as KServe's controller gives it."""
    command = [sys.executable, "-m", "predictor", "--model_dir", str(fp32), "--host", HOST]
    command += ["--http_port", "0", "--enable_grpc", "false", "--session", SESSION]
    command += ["--model_name", "qa", "--predictor_host", remote.url]
    command += ["--predictor_protocol", "grpc-v2"]
    command += ["--remote_model", model, "--remote_start_seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("predictor: error: ")
    assert f"{model} version 1 at {remote.url}" in error
    assert line in error
