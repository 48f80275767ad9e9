"""A small V2 server on the loopback, and Locust runs against it, each a process of its own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from loadtest.results.result import read_result

ROOT = Path(__file__).resolve().parents[2]
LOCUSTFILE = ROOT / "loadtest" / "locustfile.py"
LIMIT_S = 60
# The last look at the server asks for the longest text; all before is to find one-token words.
PREPARING = 16

Answer = tuple[int, dict[str, object]]


class QAServer(ThreadingHTTPServer):
    """Answers one model's requests; a test replaces what it shall do otherwise.

    A text's token count is its words and 3, and `measured` has those of the questions that are
    not the load test's own first look at the server.
    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lengths: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.ready = True
        self.tells_lengths = True
        self.answer: Callable[[int], Answer] = self.right_answer
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def right_answer(self, length: int) -> Answer:
        outputs = [{"name": "sequence_length", "data": [length]}] if self.tells_lengths else []
        return 200, {"outputs": outputs}


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
        self.server.headers.append({name.lower(): text for name, text in self.headers.items()})
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


@contextlib.contextmanager
def serving() -> Iterator[QAServer]:
    with QAServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--only-summary", *options]


def table(host: str, *options: str) -> list[str]:
    """A short latency table's command line."""
    short = ("--lengths", "8,16", "--requests-per-length", "5", "--warmup", "2")
    return command("--host", host, *short, *options)


def environment(**more: str) -> dict[str, str]:
    """None of the caller's settings of Locust or the load test, nor the path to it."""
    unwanted = ("LOCUST", "LOADTEST", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return kept | more


def run(
    arguments: list[str], cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A process to its end, started elsewhere than in the repository."""
    return subprocess.run(
        arguments,
        cwd=cwd,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


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
        process.communicate()


def error_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stderr, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("loadtest: ")]


def measured(server: QAServer) -> list[int]:
    """The lengths asked for since the longest text that the server was looked at with."""
    lengths = list(server.lengths)
    return lengths[lengths.index(PREPARING) + 1 :] if PREPARING in lengths else []


def rows_of(path: Path) -> dict[str, int]:
    """Rightly answered requests by row, of a result with one target."""
    (target,) = read_result(path).targets
    return {row.name: row.requests - row.failed for row in target.rows}


def table_lengths(output: str) -> list[str]:
    lines = [line.split("|") for line in output.splitlines() if line.startswith("| ")]
    return [line[1].strip() for line in lines[2:]]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
