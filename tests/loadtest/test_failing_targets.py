"""Locust runs against targets that fail, and what is kept of what was measured before."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from loadtest.results.result import read_result
from tests.loadtest.qa_server import (
    LIMIT_S,
    PREPARING,
    ROOT,
    Answer,
    QAServer,
    command,
    error_lines,
    free_port,
    measured,
    rows_of,
    run,
    started,
    table,
    wait_for,
)


def test_wrong_sequence_length(server: QAServer, tmp_path: Path) -> None:
    def answer(length: int) -> Answer:
        preparing = PREPARING not in server.lengths[:-1]
        return server.right_answer(length if preparing else min(length, 14))

    server.answer = answer
    results = tmp_path / "result.json"
    done = run(table(server.url, "--headless", "--results", str(results)), tmp_path)
    assert done.returncode == 1
    (line,) = error_lines(done)
    assert "7 wrong; first: 16 tokens: asked for 16 tokens, the model saw 14" in line
    assert "split" in line
    assert rows_of(results) == {"8 tokens": 5, "16 tokens": 0}


def test_length_that_the_model_does_not_take(server: QAServer, tmp_path: Path) -> None:
    server.answer = lambda length: server.right_answer(min(length, 14))
    done = run(table(server.url, "--headless"), tmp_path)
    assert done.returncode == 1
    assert "the model takes 14 tokens at most, not 16" in error_lines(done)[0]
    assert server.lengths[-1] == PREPARING, "nothing was measured"


def test_target_without_token_counts_is_said_to_be(server: QAServer, tmp_path: Path) -> None:
    server.tells_lengths = False
    options = ("--headless", "--results-dir", "results", "--no-overhead")
    done = run(table(server.url, *options), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "It returns no token counts" in (tmp_path / "results" / "report.md").read_text("utf-8")
    assert Counter(server.lengths[-14:]) == {8: 7, 16: 7}


def test_server_error_and_failed_warm_up(server: QAServer, tmp_path: Path) -> None:
    def answer(length: int) -> Answer:
        asked = len(measured(server))
        failing = asked == 1 or (asked > 1 and length == 16)
        return (500, {"error": "out of memory"}) if failing else server.right_answer(length)

    server.answer = answer
    done = run(table(server.url, "--headless"), tmp_path)
    assert done.returncode == 1
    (line,) = error_lines(done)
    assert "8 of 14 requests failed" in line
    assert "first: 8 tokens: HTTP 500: out of memory" in line
    assert Counter(measured(server)) == {8: 7, 16: 7}


def test_model_that_is_not_ready(server: QAServer, tmp_path: Path) -> None:
    server.ready = False
    done = run(table(server.url, "--headless"), tmp_path)
    assert done.returncode == 1
    assert "model 'qa' is not ready: HTTP 503: still loading" in error_lines(done)[0]
    assert server.lengths == []


@pytest.mark.parametrize("protocol", ["v2", "grpc"])
def test_no_server(tmp_path: Path, protocol: str) -> None:
    begin = time.monotonic()
    host = f"http://127.0.0.1:{free_port()}"
    done = run(table(host, "--headless", "--protocol", protocol), tmp_path)
    assert done.returncode == 1
    assert "refused" in error_lines(done)[0]
    assert time.monotonic() - begin < LIMIT_S / 2


def test_hanging_server_ends_the_run_and_keeps_what_was_measured(
    server: QAServer, tmp_path: Path
) -> None:
    def answer(length: int) -> Answer:
        if length == 16 and PREPARING in server.lengths[:-1]:
            server.released.wait(LIMIT_S)
        return server.right_answer(length)

    server.answer = answer
    options = ("--headless", "--results-dir", "results", "--no-overhead", "--request-timeout", "1")
    done = run(table(server.url, *options), tmp_path)
    assert done.returncode == 1
    assert "lost at 16 tokens: no answer" in error_lines(done)[0]
    assert "within 1 s" in error_lines(done)[0]
    assert Counter(measured(server)) == {8: 7, 16: 1}
    assert rows_of(tmp_path / "results" / "summary.json") == {"8 tokens": 5}
    lines = list(csv.DictReader((tmp_path / "results" / "requests.csv").read_text().splitlines()))
    assert Counter(line["outcome"] for line in lines) == {"answered": 7, "no answer": 1}


@pytest.mark.parametrize("scenario", ["throughput", "open-loop"])
def test_vanishing_target(tmp_path: Path, scenario: str) -> None:
    instant = [sys.executable, "-m", "loadtest.clients.instant"]
    pipe = subprocess.PIPE
    with subprocess.Popen(instant, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as server:
        try:
            assert server.stdout
            port = server.stdout.readline().strip()
            tokenizer = ROOT / "demo" / "checkpoint" / "baseline" / "tokenizer.json"
            arguments = command(
                *("--headless", "--host", f"http://127.0.0.1:{port}", "--lengths", "128"),
                *("--tokenizer", str(tokenizer), "--scenario", scenario, "--rate", "50"),
                *("--step-seconds", "30", "--settle", "0.1", "--results-dir", "results"),
                *("--no-overhead", "--request-timeout", "5"),
            )
            requests = tmp_path / "results" / "requests.csv"

            def counted() -> int:
                """How many requests count for a row, which those of the settling do not."""
                lines = requests.read_text().splitlines() if requests.is_file() else []
                return sum(bool(line["row"]) for line in csv.DictReader(lines))

            with started(arguments, tmp_path, stderr=pipe) as process:
                wait_for(lambda: counted() > 20)
                server.kill()
                _, errors = process.communicate(timeout=LIMIT_S)
        finally:
            server.kill()
            server.communicate()
    assert process.returncode == 1, errors
    assert "loadtest: " in errors
    assert "lost: 5 in a row: no answer from" in errors
    assert "Traceback" not in errors
    (target,) = read_result(tmp_path / "results" / "summary.json").targets
    assert target.rows[0].requests - target.rows[0].failed > 0
    assert f"of {target.requests} requests failed" in errors


def test_failures_within_the_bounds_pass_and_a_slow_p99_does_not(
    server: QAServer, tmp_path: Path
) -> None:
    def answer(length: int) -> Answer:
        refused = measured(server) and len(server.lengths) % 10 == 0
        return (429, {"error": "full"}) if refused else server.right_answer(length)

    server.answer = answer
    load = ("--headless", "--host", server.url, "--scenario", "mixed", "--lengths", "16", "-u", "2")
    short = ("--duration", "1", "--settle", "0", "--max-error-rate", "0.5")
    done = run(command(*load, *short), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Passed." in done.stdout
    assert "HTTP 429: full" in done.stderr, "in Locust's own table of errors"
    done = run(command(*load, *short, "--max-p99", "0.001"), tmp_path)
    assert done.returncode == 1
    (line,) = error_lines(done)
    assert "2 users: p99" in line
    assert "at most 0.001" in line
