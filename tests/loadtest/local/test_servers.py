"""Local servers: ready, or a reason; and none is left, however its owner ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.local.servers import HOST, Server, ServerError, running
from tests.loadtest.qa_server import LIMIT_S, ROOT, free_port, wait_for

# It tells its own number and its child's, which ignores what asks it to end.
STUBBORN = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time;"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"],
    stdout=subprocess.PIPE)
child.stdout.readline()
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
HTTP = "import sys, http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def guarded(*command: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    line = [sys.executable, "-m", "loadtest.local.guard", *command]
    return subprocess.Popen(line, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


@pytest.mark.parametrize(("code", "status"), [("0", 0), ("3", 3)])
def test_a_guard_ends_with_its_command(code: str, status: int) -> None:
    guard = guarded(sys.executable, "-c", f"raise SystemExit({code})")
    assert guard.wait(LIMIT_S) == status
    guard.communicate()


@pytest.mark.parametrize("way", ["input ends", "SIGTERM"])
def test_a_guard_ends_the_whole_group(way: str) -> None:
    guard = guarded(sys.executable, "-c", STUBBORN)
    assert guard.stdout
    assert guard.stdin
    pids = [int(text) for text in guard.stdout.readline().split()]
    assert [alive(pid) for pid in pids] == [True, True]
    if way == "SIGTERM":
        guard.terminate()
    guard.stdin.close()
    guard.wait(LIMIT_S)
    guard.stdout.close()
    wait_for(lambda: not any(map(alive, pids)))


def refuses(port: int) -> bool:
    """Whether nobody listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def server_of(port: int, *command: str) -> Server:
    return Server("web", command, port, "/")


def test_a_server_is_ready_and_then_stopped(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path / "logs") as servers:
        servers.start(server_of(port, sys.executable, "-c", HTTP, str(port)))
        assert servers.ended() == []
        assert "GET / " in (tmp_path / "logs" / "web.log").read_text()
        assert not refuses(port)
    assert refuses(port)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise KeyError('no such model')", "web stopped at its start: KeyError: 'no such model'"),
        ("print('one'); print('two')", "web stopped at its start: one / two"),
        ("", "web stopped at its start: it said nothing"),
        ("import time; time.sleep(600)", "web is not ready after 2 s: it said nothing"),
    ],
)
def test_a_server_that_does_not_start_says_why(tmp_path: Path, code: str, said: str) -> None:
    with running(tmp_path, 2) as servers:
        with pytest.raises(ServerError) as caught:
            servers.start(server_of(free_port(), sys.executable, "-c", code))
        assert str(caught.value) == said


OWNER = f"""
import sys, time
from pathlib import Path
from loadtest.local.servers import Server, running
port = int(sys.argv[1])
with running(Path(sys.argv[2])) as servers:
    command = [sys.executable, "-c", {HTTP!r}, str(port)]
    servers.start(Server("web", command, port, "/"))
    print("started", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_server_outlives_its_owner(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, "-c", OWNER, str(port), str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "started\n"
        owner.send_signal(number)
        owner.wait(LIMIT_S)

    wait_for(lambda: refuses(port))
