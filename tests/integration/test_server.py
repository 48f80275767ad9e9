"""The real server as a process: readiness, both protocols, bad input, start-up and shutdown."""

import http.client
import importlib.util
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from demo.servers import running
from loadtest.local.servers import HOST
from tests.integration.calls import CONTEXT, JSON, QUESTION, V1, V2, ask, post, tensor
from tests.signals import hearing_ctrl_c


def test_metadata_and_readiness(server):
    assert server.call("GET", "/v2/health/live")[0] == 200
    assert server.call("GET", "/v2/models/qa/ready")[1] == {"name": "qa", "ready": True}
    status, metadata, _ = server.call("GET", "/v2/models/qa")
    assert status == 200
    assert [t["name"] for t in metadata["inputs"]] == ["question", "context"]
    status, described, _ = server.call("GET", "/v2/models/qa/artifact")
    assert described["artifact"]["precision"] == "fp32"
    assert described["report"]["served"] == "graph"


def test_v2_answers_with_timings_and_top_k(server):
    status, body, timing = server.call("POST", V2, ask(top_k=3) | {"id": "mine"})
    assert status == 200
    outputs = {output["name"]: output for output in body["outputs"]}
    assert (body["id"], body["model_version"]) == ("mine", "1")
    assert outputs["answer"]["shape"] == [1, 3]
    assert outputs["answer"]["data"][0] == "The second little pig"
    start, end = outputs["start"]["data"][0], outputs["end"]["data"][0]
    assert CONTEXT[start:end] == "The second little pig"
    assert "run;dur=" in timing


def without_nulls(value):
    if isinstance(value, dict):
        return all(map(without_nulls, value.values()))
    if isinstance(value, list):
        return all(map(without_nulls, value))
    return value is not None


def test_v2_never_says_null(server):
    for method, path, body in (
        ("POST", V2, ask()),
        ("GET", "/v2", None),
        ("GET", "/v2/models/qa", None),
        ("GET", "/v2/models/qa/ready", None),
        ("GET", "/v2/models", None),
    ):
        status, answer, _ = server.call(method, path, body)
        assert status == 200
        assert without_nulls(answer), answer


def test_the_served_version_is_in_the_path_and_others_are_404(server):
    prefix = "/v2/models/qa/versions"
    assert server.call("GET", "/v2/models/qa")[1]["versions"] == ["1"]
    for version, expected in (("1", 200), ("2", 404), ("x", 404)):
        assert server.call("GET", f"{prefix}/{version}")[0] == expected
        assert server.call("GET", f"{prefix}/{version}/ready")[0] == expected
        status, answer, _ = server.call("POST", f"{prefix}/{version}/infer", ask())
        assert status == expected
        assert ("error" in answer) == (status == 404)


def test_v1_answers_the_same(server):
    instances = [{"question": QUESTION, "context": CONTEXT}, {"question": "Who?", "context": "Me."}]
    status, body, timing = server.call("POST", V1, {"instances": instances})
    assert status == 200
    assert body["predictions"][0]["answer"] == "The second little pig"
    assert len(body["predictions"]) == 2
    assert "run;dur=" in timing


def test_v2_without_content_type(server):
    assert post(server, V2, json.dumps(ask()), headers={})[0] == 200


def test_no_answer(server):
    _, body, _ = server.call("POST", V2, ask("Who was the president of France?"))
    outputs = {output["name"]: output["data"] for output in body["outputs"]}
    assert (outputs["answer"], outputs["start"], outputs["end"]) == ([""], [0], [0])
    assert outputs["null_score_diff"][0] > -4


def binary(content):
    """A V2 request whose question is raw bytes."""
    head = json.dumps(
        {
            "inputs": [
                {"name": "question", "datatype": "BYTES", "shape": [1],
                 "parameters": {"binary_data_size": len(content)}},
                tensor("context", [CONTEXT]),
            ]
        }
    ).encode()  # fmt: skip
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return head + content, headers


def test_binary_tensors(server):
    question = QUESTION.encode()
    status, body = post(server, V2, *binary(struct.pack("<I", len(question)) + question))
    assert status == 200
    assert body["outputs"][0]["data"] == ["The second little pig"]


def test_binary_outputs(server):
    body = ask(binary_data_output=True) | {"outputs": [{"name": "score"}, {"name": "answer"}]}
    body["outputs"][0]["parameters"] = body["outputs"][1]["parameters"] = {"binary_data": True}
    connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
    connection.request("POST", V2, json.dumps(body), JSON)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    size = int(response.headers["Inference-Header-Content-Length"])
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Length"] == str(len(content))
    assert [o["name"] for o in json.loads(content[:size])["outputs"]] == ["score", "answer"]
    assert content[size + 8 :] == b"The second little pig"


BAD_V2 = {
    "malformed JSON": (b'{"inputs": [', JSON),
    "malformed JSON without content type": (b'{"inputs": [', {}),
    "JSON that is not UTF-8": (b'{"inputs": "\xff"}', JSON),
    "no object": (b"[1, 2]", JSON),
    "no inputs": (b"{}", JSON),
    "missing input": ({"inputs": [tensor("question", ["a"])]}, JSON),
    "wrong datatype": ({"inputs": [tensor("question", [1], "INT64")]}, JSON),
    "unknown datatype": ({"inputs": [tensor("question", ["a"], "NOPE")]}, JSON),
    "wrong shape": ({"inputs": [tensor("question", ["a"], shape=[2])]}, JSON),
    "negative shape": ({"inputs": [tensor("question", ["a"], shape=[-1])]}, JSON),
    "empty question": (ask(question=""), JSON),
    "empty context": (ask(context="  "), JSON),
    "half a surrogate pair": (ask(question="\ud800"), JSON),
    "unknown output": (ask() | {"outputs": [{"name": "nope"}]}, JSON),
    "bad parameter": (ask(top_k=0), JSON),
    "parameter without value": (ask(top_k=None), JSON),
    "question over the window": (ask(question="word " * 600), JSON),
    "invalid UTF-8 in a binary tensor": binary(struct.pack("<I", 2) + b"\xff\xfe"),
    "cut binary tensor": binary(struct.pack("<I", 200) + b"short"),
    "binary header that is no number": (b"{}", {"Inference-Header-Content-Length": "many"}),
    "binary without inputs": (b"{}", {"Inference-Header-Content-Length": "2"}),
}


@pytest.mark.parametrize("case", BAD_V2)
def test_bad_v2_requests_are_400(server, case):
    body, headers = BAD_V2[case]
    content = body if isinstance(body, bytes) else json.dumps(body)
    status, answer = post(server, V2, content, headers)
    assert (status, list(answer)) == (400, ["error"])
    assert isinstance(answer["error"], str)


BAD_V1 = {
    "malformed JSON": b'{"instances": [',
    "not UTF-8": b'{"instances": "\xff"}',
    "no object": b"[1]",
    "no instances": b"{}",
    "parameters that are no object": json.dumps(
        {"instances": [{"question": "a", "context": "c"}], "parameters": []}
    ),
    "no context": json.dumps({"instances": [{"question": "a"}]}),
    "wrong type": json.dumps({"instances": [{"question": 1, "context": "c"}]}),
    "empty question": json.dumps({"instances": [{"question": " ", "context": "c"}]}),
    "empty context": json.dumps({"instances": [{"question": "a", "context": ""}]}),
}


@pytest.mark.parametrize("case", BAD_V1)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_bad_v1_requests_are_400(server, case, content_type):
    status, answer = post(server, V1, BAD_V1[case], {"Content-Type": content_type})
    assert (status, list(answer)) == (400, ["error"])


@pytest.mark.parametrize("path", ["/v2/models/no/infer", "/v1/models/no:predict"])
def test_an_unknown_model_is_404(server, path):
    status, answer = post(server, path, json.dumps(ask()))
    assert (status, list(answer)) == (404, ["error"])


@pytest.mark.parametrize("path", [V1, V2])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_413(server, path, announced):
    body = json.dumps(ask(context="x" * 9_000_000)).encode()
    content = body if announced else iter([body[:1000], body[1000:]])
    status, answer = post(server, path, content)
    assert (status, list(answer)) == (413, ["error"])
    assert server.call("POST", V2, ask())[0] == 200


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_no_client_takes_the_model_away(server, verb):
    status, answer = post(server, f"/v2/repository/models/qa/{verb}", "")
    assert (status, list(answer)) == (400, ["error"])
    assert server.call("POST", V2, ask())[0] == 200


def test_a_bad_request_harms_nobody_else(server):
    before = len(server.log.read_text())
    for body, headers in BAD_V2.values():
        post(server, V2, body if isinstance(body, bytes) else json.dumps(body), headers)
    assert server.call("POST", V2, ask())[0] == 200
    assert "Traceback" not in server.log.read_text()[before:]


def test_probes_answer_while_a_run_is_in_flight(server):
    """A context that takes many runs keeps the session busy; the event loop stays free."""
    done = threading.Event()

    def long_request():
        server.call("POST", V2, ask(context=CONTEXT * 300))
        done.set()

    worker = threading.Thread(target=long_request)
    worker.start()
    probes = 0
    while not done.is_set():
        assert server.call("GET", "/v2/health/live")[0] == 200
        probes += not done.is_set()
    worker.join()
    assert probes >= 3


def predictor(*arguments, timeout=60):
    return subprocess.run(
        [sys.executable, "-m", "predictor", "--host", HOST, "--enable_grpc", "false",
         *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def assert_one_line(result, message):
    assert result.returncode != 0
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("predictor: error:")
    assert message in line


def test_what_cannot_be_served_is_one_line(make_artifact, tmp_path):
    nowhere = tmp_path / "nowhere"
    waiting = f"predictor: error: {nowhere}: no artifact there yet; is the optimize job done?"
    assert_one_line(predictor("--model_dir", nowhere), waiting)
    without = make_artifact("without")
    (without / "tokenizer.json").unlink()
    assert_one_line(predictor("--model_dir", without), "tokenizer.json")
    flipped = make_artifact("flipped")
    (flipped / "model.onnx").write_bytes(b"no model, but bytEs")
    assert_one_line(predictor("--model_dir", flipped), "wrong checksum")


def test_a_port_in_use_is_one_line(make_artifact):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = predictor("--model_dir", make_artifact(), "--http_port", port)
    assert_one_line(result, f"cannot listen on {HOST}:{port}")


def test_one_port_for_both_is_one_line(make_artifact):
    ports = ("--http_port", 18080, "--grpc_port", 18080, "--enable_grpc", "true")
    result = predictor("--model_dir", make_artifact(), *ports)
    assert_one_line(result, "--http_port and --grpc_port are both 18080")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_a_server_that_still_loads(make_artifact, number, status):
    command = [sys.executable, "-m", "predictor", "--model_dir", str(make_artifact())]
    command += ["--host", HOST, "--http_port", "0", "--enable_grpc", "false"]
    command += ["--session", "tests.integration.sessions:StuckSession"]
    with hearing_ctrl_c():
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stderr is not None
        assert "warming up" in process.stderr.readline()
        process.send_signal(number)
        _, rest = process.communicate(timeout=20)
    assert process.returncode == status
    assert "Traceback" not in rest


@pytest.mark.parametrize("flag", ["--log_config_file", "--ssl_certfile", "--ssl_keyfile"])
def test_a_flag_of_the_sdk_that_names_no_file_is_one_line(make_artifact, flag):
    result = predictor("--model_dir", make_artifact(), flag, "/nowhere")
    assert_one_line(result, f"{flag}: /nowhere is not a file")


def test_an_access_log_without_its_package_is_one_line(make_artifact):
    if importlib.util.find_spec("asgi_logger") is not None:
        pytest.skip("the package is installed")
    result = predictor("--model_dir", make_artifact(), "--access_log_format", "%(R)s")
    assert_one_line(result, "asgi-logger")


def test_sigterm_ends_with_status_zero(make_artifact, tmp_path):
    settings = {"fake": {"session": "fake"}}
    with running({"fake": make_artifact()}, settings, tmp_path) as (server,):
        assert server.call("POST", V2, ask())[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def test_the_demo_stops_its_servers_whatever_happens(make_artifact, tmp_path):
    settings = {"fake": {"session": "fake"}}
    with (
        pytest.raises(KeyboardInterrupt),
        running({"fake": make_artifact()}, settings, tmp_path) as (server,),
    ):
        raise KeyboardInterrupt
    assert server.process.poll() is not None


def test_the_readme_s_requests_are_answered(server):
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    requests = re.findall(r"^curl localhost:8080(\S+).*?-d '(.*?)'$", readme, re.MULTILINE | re.S)
    assert [path for path, _ in requests] == [V2, V1]
    for path, body in requests:
        status, answer = post(server, path, body, JSON if path == V1 else {})
        assert status == 200
        assert "second little pig" in json.dumps(answer)
