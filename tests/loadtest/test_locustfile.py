"""Whole Locust runs, each a process of its own, against a small V2 server on the loopback."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadtest.results import Result, read_result

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30

Answer = tuple[int, dict[str, object]]


class QAServer(ThreadingHTTPServer):
    """Answers one model's requests; a test replaces what it shall do otherwise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lengths: list[int] = []
        self.ready = True
        self.answer: Callable[[int], Answer] = self.right_answer
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def right_answer(self, length: int) -> Answer:
        return 200, {"outputs": [{"name": "sequence_length", "data": [length]}]}


class Handler(BaseHTTPRequestHandler):
    """V2 REST, as much of it as the load test speaks."""

    server: QAServer
    protocol_version = "HTTP/1.1"
    # The answer leaves in one packet: a second small one would wait for an acknowledgement.
    wbufsize = -1

    def do_GET(self) -> None:
        ready = self.path == "/v2/models/qa/ready" and self.server.ready
        self._send(200 if ready else 503, {"ready": True} if ready else {"error": "still loading"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = {part["name"]: part["data"][0] for part in body["inputs"]}
        length = len(texts["question"].split()) + len(texts["context"].split()) + 3
        self.server.lengths.append(length)
        self._send(*self.server.answer(length))

    def _send(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Server-Timing", "tokenize;dur=0.25, run;dur=1.5")
        self.end_headers()
        # A client that gave up is no error of the server's.
        with contextlib.suppress(OSError):
            self.wfile.write(body)
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[QAServer]:
    with QAServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def command(host: str, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py")),
        *("--host", host, "--only-summary", "--lengths", "8,16"),
        *("--requests-per-length", "5", "--warmup", "2", *options),
    ]


def environment() -> dict[str, str]:
    """None of the caller's settings of Locust or the load test, nor the path to it."""
    unwanted = ("LOCUST", "LOADTEST", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def locust(cwd: Path, host: str, *options: str) -> subprocess.CompletedProcess[str]:
    """One headless run, started elsewhere than in the repository."""
    return subprocess.run(
        command(host, "--headless", *options),
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def error_line(run: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("loadtest: ")]
    assert len(lines) == 1, run.stderr
    return lines[0]


def table_lengths(output: str) -> list[str]:
    lines = [line.split("|") for line in output.splitlines() if line.startswith("| ")]
    return [line[1].strip() for line in lines[2:]]


def requests_of(result: Result) -> dict[int, int]:
    return {row.sequence_length: row.requests for row in result.rows}


def test_good_run(server: QAServer, tmp_path: Path) -> None:
    results = tmp_path / "new" / "result.json"
    options = ("--results", str(results), "--target-name", "dense", "--json-file", "stats")
    run = locust(tmp_path, server.url, *options)
    assert run.returncode == 0, run.stderr
    assert Counter(server.lengths) == {8: 7, 16: 7}
    assert server.lengths == sorted(server.lengths)
    assert table_lengths(run.stdout) == ["8", "16"]
    assert "server run ms" in run.stdout
    assert run.stderr.count("over 5 requests") == 2

    result = read_result(results)
    assert (result.target, result.host, result.failures) == ("dense", server.url, [])
    assert requests_of(result) == {8: 5, 16: 5}
    for row in result.rows:
        assert len(row.latencies_ms) == 5
        assert row.server_ms == {"tokenize": 0.25, "run": 1.5}
        assert row.mean_ms == pytest.approx(sum(row.latencies_ms) / 5, abs=1e-3)

    stats = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))
    assert {entry["name"]: entry["num_requests"] for entry in stats} == {"seq 8": 5, "seq 16": 5}


def test_more_users_are_still_one(server: QAServer, tmp_path: Path) -> None:
    run = locust(tmp_path, server.url, "-u", "4", "-r", "4")
    assert run.returncode == 0, run.stderr
    assert Counter(server.lengths) == {8: 7, 16: 7}


def test_wrong_sequence_length(server: QAServer, tmp_path: Path) -> None:
    server.answer = lambda length: server.right_answer(min(length, 14))
    results = tmp_path / "result.json"
    run = locust(tmp_path, server.url, "--results", str(results))
    assert run.returncode == 1
    assert "seq 16: asked for 16 tokens, the model saw 14" in error_line(run)
    assert "split" in error_line(run)
    assert requests_of(read_result(results)) == {8: 5, 16: 0}


def test_server_error(server: QAServer, tmp_path: Path) -> None:
    server.answer = lambda _: (500, {"error": "out of memory"})
    run = locust(tmp_path, server.url)
    assert run.returncode == 1
    assert "seq 8: HTTP 500: out of memory" in error_line(run)
    assert Counter(server.lengths) == {8: 7, 16: 7}


def test_failed_warm_up_alone_is_a_failure(server: QAServer, tmp_path: Path) -> None:
    def answer(length: int) -> Answer:
        return server.right_answer(length) if len(server.lengths) > 1 else (500, {"error": "cold"})

    server.answer = answer
    run = locust(tmp_path, server.url)
    assert run.returncode == 1
    assert "HTTP 500: cold" in error_line(run)


def test_model_that_is_not_ready(server: QAServer, tmp_path: Path) -> None:
    server.ready = False
    run = locust(tmp_path, server.url)
    assert run.returncode == 1
    assert "model 'qa' is not ready: HTTP 503: still loading" in error_line(run)
    assert server.lengths == []


def test_no_server(tmp_path: Path) -> None:
    begin = time.monotonic()
    run = locust(tmp_path, f"http://127.0.0.1:{free_port()}")
    assert run.returncode == 1
    assert "refused" in error_line(run)
    assert time.monotonic() - begin < 15


def test_hanging_server_ends_the_run_and_keeps_what_was_measured(
    server: QAServer, tmp_path: Path
) -> None:
    def answer(length: int) -> Answer:
        if length == 16:
            server.released.wait(LIMIT_S)
        return server.right_answer(length)

    server.answer = answer
    results = tmp_path / "result.json"
    run = locust(tmp_path, server.url, "--results", str(results), "--request-timeout", "0.5")
    assert run.returncode == 1
    assert "seq 16: no answer" in error_line(run)
    assert "within 0.5 s" in error_line(run)
    assert Counter(server.lengths) == {8: 7, 16: 1}
    assert requests_of(read_result(results))[8] == 5


def test_results_that_cannot_be_written_end_before_the_first_request(
    server: QAServer, tmp_path: Path
) -> None:
    run = locust(tmp_path, server.url, "--results", str(tmp_path))
    assert run.returncode == 1
    assert "cannot write" in error_line(run)
    assert server.lengths == []


def test_web_ui_outlives_its_tests(server: QAServer, tmp_path: Path) -> None:
    port = free_port()
    arguments = command(server.url, "--web-host", "127.0.0.1", "--web-port", str(port))
    with started(arguments, tmp_path, stderr=subprocess.STDOUT) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: web_state(url) == "ready")
        for runs in (1, 2):
            urllib.request.urlopen(f"{url}/swarm", data=b"", timeout=5).close()
            wait_for(lambda runs=runs: len(server.lengths) == 14 * runs)
            wait_for(lambda: web_state(url) == "stopped")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, output
    assert table_lengths(output).count("16") == 2


def test_sigterm_keeps_what_was_measured(server: QAServer, tmp_path: Path) -> None:
    def answer(length: int) -> Answer:
        if length == 16:
            server.released.wait(LIMIT_S)
        return server.right_answer(length)

    server.answer = answer
    results = tmp_path / "result.json"
    arguments = command(server.url, "--headless", "--results", str(results))
    with started(arguments, tmp_path, stderr=subprocess.PIPE) as process:
        wait_for(lambda: 16 in server.lengths)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "stopped early" in errors
    assert requests_of(read_result(results)) == {8: 5}


@contextlib.contextmanager
def started(arguments: list[str], folder: Path, *, stderr: int) -> Iterator[subprocess.Popen[str]]:
    """A Locust process in the background, surely ended."""
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def web_state(url: str) -> str | None:
    """The test's state in the web UI, None while there is none."""
    try:
        with urllib.request.urlopen(f"{url}/stats/requests", timeout=5) as response:
            return str(json.load(response)["state"])
    except OSError:
        return None


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
