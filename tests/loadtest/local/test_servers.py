"""Local servers: ready, or a reason; and none is left, however its owner ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.local.guard import RECORD
from loadtest.local.servers import HOST, Server, ServerError, running, stop
from tests.loadtest.qa_server import LIMIT_S, ROOT, free_port, wait_for
from tests.signals import hearing_ctrl_c

# It tells its own number and its child's, which ignores what asks it to end.
STUBBORN = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time;"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"],
    stdout=subprocess.PIPE)
child.stdout.readline()
print(os.getpid(), child.pid, flush=True)
"""
SLEEP = "\ntime.sleep(600)\n"
HTTP = "import sys, http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def watches(guard: int) -> bool:
    """Whether a guard has heard of a server."""
    with contextlib.suppress(FileNotFoundError):
        links = [os.readlink(file) for file in Path(f"/proc/{guard}/fd").iterdir()]
        return "anon_inode:[pidfd]" in links
    return False


def refuses(port: int) -> bool:
    """Whether nobody listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def server_of(name: str, code: str = HTTP) -> Server:
    port = free_port()
    return Server(name, [sys.executable, "-c", code, str(port)], port, "/")


def pids_in(log: Path) -> list[int]:
    """What STUBBORN tells."""
    wait_for(lambda: len(log.read_text().split()) >= 2)
    return [int(text) for text in log.read_text().split()[:2]]


@pytest.mark.parametrize("way", ["input ends", "SIGTERM", "server ends"])
def test_a_guard_ends_whole_groups(way: str) -> None:
    guard = subprocess.Popen(
        [sys.executable, "-m", "loadtest.local.guard"], cwd=ROOT, stdin=subprocess.PIPE
    )
    assert guard.stdin
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", STUBBORN + SLEEP]
    with subprocess.Popen(command, stdout=pipe, text=True, start_new_session=True) as leader:
        assert leader.stdout
        pids = [int(text) for text in leader.stdout.readline().split()]
        guard.stdin.write(leader.pid.to_bytes(RECORD))
        guard.stdin.flush()
        assert [alive(pid) for pid in pids] == [True, True]
        wait_for(lambda: watches(guard.pid))
        if way == "SIGTERM":
            guard.terminate()
        elif way == "input ends":
            guard.stdin.close()
        else:
            leader.terminate()
        wait_for(lambda: not any(map(alive, pids)))
    guard.stdin.close()
    guard.wait(LIMIT_S)


def test_servers_are_ready_together_and_then_stopped(tmp_path: Path) -> None:
    wanted = [server_of("one"), server_of("two")]
    with running(tmp_path / "logs") as servers:
        processes = servers.start(*wanted)
        for server, process in zip(wanted, processes, strict=True):
            assert "GET / " in (tmp_path / "logs" / f"{server.name}.log").read_text()
            assert not refuses(server.port)
            # Its own process, at the head of a session that Ctrl-C does not reach.
            assert os.getsid(process.pid) == process.pid
    assert [refuses(server.port) for server in wanted] == [True, True]
    assert [process.returncode for process in processes] == [-signal.SIGTERM] * 2


def test_a_server_may_be_stopped_before(tmp_path: Path) -> None:
    with running(tmp_path) as servers:
        one, other = servers.start(server_of("one"), server_of("other"))
        stop(one)
        assert (one.returncode, other.poll()) == (-signal.SIGTERM, None)


def test_what_a_server_leaves_behind_is_stopped_too(tmp_path: Path) -> None:
    with running(tmp_path) as servers:
        servers.start(server_of("web", STUBBORN + HTTP))
        pids = pids_in(tmp_path / "web.log")
        assert [alive(pid) for pid in pids] == [True, True]
    assert [alive(pid) for pid in pids] == [False, False]


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
            servers.start(server_of("web", code))
        assert str(caught.value) == said


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with running(tmp_path) as servers:
        with pytest.raises(ServerError) as caught:
            servers.start(Server("web", ["/nowhere/program"], free_port()))
        assert str(caught.value).startswith("web cannot be started: ")


def test_servers_of_one_start_are_stopped_together(tmp_path: Path) -> None:
    wanted = [server_of("one"), server_of("two", "raise SystemExit('no')")]
    with running(tmp_path) as servers:
        servers.start(before := server_of("before"))
        with pytest.raises(ServerError, match="two stopped at its start: no"):
            servers.start(*wanted)
        assert refuses(wanted[0].port)
        assert not refuses(before.port)


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
    with hearing_ctrl_c():
        owner = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, text=True)
    try:
        assert owner.stdout
        assert owner.stdout.readline() == "started\n"
        owner.send_signal(number)
        owner.wait(LIMIT_S)
    finally:
        owner.kill()
        owner.communicate()
    wait_for(lambda: refuses(port))
