"""Servers are pinned, found ready, and stopped."""

import os
import signal
import subprocess
import sys

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.processes import Cores, pinned, predictor, running

# Just enough of a server: the module's own arguments end with --http_port PORT.
SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(sorted(os.sched_getaffinity(0))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


def test_cores_are_two_where_there_are_two():
    cores, own = Cores.pick(), sorted(os.sched_getaffinity(0))
    assert cores.server == own[0]
    assert cores.load == own[-1] if len(own) < 3 else cores.load == own[1]
    assert "ONE core" in Cores(0, 0).describe()
    assert "ONE core" not in Cores(0, 1).describe()


def test_pinning_ends_with_its_block():
    before = os.sched_getaffinity(0)
    with pinned(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_a_server_runs_on_its_core_until_the_block_ends(tmp_path):
    core = Cores.pick().server
    with running({"small": ["-c", SERVER]}, core, tmp_path) as servers:
        small = servers["small"]
        assert small.get("/") == (200, f"[{core}]".encode())
        assert small.rss_bytes() > 1 << 20
        assert small.cpu_seconds() > 0
    assert small.process.poll() is not None


def test_a_server_that_stops_says_why(tmp_path):
    command = ["-c", "import sys; sys.exit('no model here')"]
    with (
        pytest.raises(BenchmarkError, match="broken stopped at its start: no model here"),
        running({"broken": command}, Cores.pick().server, tmp_path),
    ):
        pass


def test_the_predictor_is_asked_for_by_its_flags(tmp_path):
    arguments = predictor(tmp_path, {"batching": "off", "max_queue_tokens": 5})
    assert arguments[:2] == ["-m", "predictor"]
    assert " ".join(arguments[2:]) == (
        f"--model_dir {tmp_path} --host 127.0.0.1 --enable_grpc false "
        "--batching off --max_queue_tokens 5"
    )


PARENT = f"""
import sys, time
from pathlib import Path
from benchmarks.processes import Cores, running
from loadtest.signals import exit_on_signals
exit_on_signals()
with running({{"small": ["-c", {SERVER!r}]}}, Cores.pick().server, Path(sys.argv[1])) as servers:
    print(servers["small"].process.pid, flush=True)
    while True:
        time.sleep(1)
"""


def test_a_terminated_benchmark_leaves_no_server_behind(tmp_path):
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        server = int(parent.stdout.readline())
        os.kill(server, 0)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
