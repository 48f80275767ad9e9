"""A stall is seen by everybody who would have asked meanwhile, not only by who asked before.

The server answers at once, but for one second in which it answers nobody. An open loop of R
arrivals per second has R of them due in this second, and each waits for what is left of it: of
those, half wait for more than half a second. A closed loop of one user has only one that waits,
as the user asks no more until it is answered.
"""

from __future__ import annotations

import csv
import threading
import time
from pathlib import Path

from loadtest.results.result import read_result
from loadtest.results.stats import Stats
from tests.loadtest.qa_server import Answer, QAServer, command, run

RATE, SECONDS, STALL_SECONDS = 60, 5, 1.0
STALL_AFTER = 60
"""Requests of the test proper before the stall; the open loop's begin takes about as many."""


def stall_once(server: QAServer) -> None:
    """Makes the server stall at a request some seconds after the test's first."""
    lock = threading.Lock()
    until: list[float] = []

    def answer(length: int) -> Answer:
        with lock:
            if length == 20 and server.lengths.count(20) == STALL_AFTER and not until:
                until.append(time.monotonic() + STALL_SECONDS)
        time.sleep(max(until[0] - time.monotonic(), 0) if until else 0)
        return server.right_answer(length)

    server.answer = answer


def latencies_ms(server: QAServer, folder: Path, *options: str) -> list[float]:
    """The latencies of a test, and a check that the result's p99 is theirs."""
    stall_once(server)
    arguments = command(
        *("--headless", "--host", server.url, "--lengths", "20", "--settle", "0"),
        *("--duration", str(SECONDS), "--results-dir", "results", "--no-overhead", *options),
    )
    done = run(arguments, folder)
    assert done.returncode == 0, done.stderr
    lines = csv.DictReader((folder / "results" / "requests.csv").read_text("utf-8").splitlines())
    found = [float(line["latency_ms"]) for line in lines if line["row"]]
    (target,) = read_result(folder / "results" / "summary.json").targets
    assert target.rows[0].client == Stats.of(found)
    return found


def test_open_loop_counts_the_wait_of_all_who_were_due(server: QAServer, tmp_path: Path) -> None:
    rate = ("--scenario", "open-loop", "--rate", str(RATE))
    found = latencies_ms(server, tmp_path, *rate)
    stats = Stats.of(found)
    assert stats
    # Poisson: 300 ± 17 arrivals, of which 30 ± 5.5 wait for more than half the stall. Whatever
    # else the machine does makes latencies longer; four deviations are allowed to the lower side.
    assert abs(len(found) - RATE * SECONDS) < 5 * 17
    assert sum(ms > 500 * STALL_SECONDS for ms in found) > 30 - 4 * 5.5
    # A p99 below half the stall would need less than one request in a hundred to wait so long.
    assert stats.p99 > 500 * STALL_SECONDS
    # They were sent when they were due, not one after the other's answer.
    assert max(found) >= 900 * STALL_SECONDS


def test_closed_loop_of_one_user_has_one_request_that_waits(
    server: QAServer, tmp_path: Path
) -> None:
    found = latencies_ms(server, tmp_path, "--scenario", "mixed")
    assert sum(ms > 900 * STALL_SECONDS for ms in found) == 1


def test_what_waits_for_a_free_connection_counts_its_wait(server: QAServer, tmp_path: Path) -> None:
    options = ("--scenario", "open-loop", "--rate", str(RATE), "--max-in-flight", "1")
    found = latencies_ms(server, tmp_path, *options)
    # One at a time is sent, so that the server sees one wait; the load test counts them all.
    assert sum(ms > 500 * STALL_SECONDS for ms in found) > 30 - 4 * 5.5
