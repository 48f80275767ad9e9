"""Whole Locust runs, each a process of its own, against a small V2 server on the loopback."""

from __future__ import annotations

import csv
import itertools
import json
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from loadtest.results.result import read_result
from tests.loadtest.qa_server import (
    LIMIT_S,
    PREPARING,
    Answer,
    QAServer,
    command,
    environment,
    error_lines,
    free_port,
    measured,
    rows_of,
    run,
    started,
    table,
    table_lengths,
    wait_for,
)


def test_good_run(server: QAServer, tmp_path: Path) -> None:
    results = tmp_path / "new" / "result.json"
    options = ("--results", str(results), "--target-name", "dense", "--json-file", "stats")
    done = run(table(server.url, "--headless", "-u", "4", *options), tmp_path)
    assert done.returncode == 0, done.stderr
    assert Counter(measured(server)) == {8: 7, 16: 7}
    assert measured(server) == sorted(measured(server))
    assert table_lengths(done.stdout) == ["8", "16"]
    assert "Passed." in done.stdout
    assert done.stderr.count("ms, 5 requests") == 2, "progress of each length"

    (target,) = read_result(results).targets
    assert (target.name, target.host, target.failures) == ("dense", server.url, [])
    assert rows_of(results) == {"8 tokens": 5, "16 tokens": 5}
    for row in target.rows:
        assert row.stages_ms == {"tokenize": 0.25, "run": 1.5}
        assert row.server
        assert row.server.mean == 1.75

    stats = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))
    counts = {entry["name"]: entry["num_requests"] for entry in stats}
    assert counts == {"8 tokens": 5, "16 tokens": 5}


@pytest.mark.parametrize(
    ("bound", "said"),
    [(("--max-p99", "0.001"), "at most 0.001"), (("--min-rate", "1e6"), "at least 1e+06")],
)
def test_bounds_of_the_table(
    server: QAServer, tmp_path: Path, bound: tuple[str, str], said: str
) -> None:
    done = run(table(server.url, "--headless", "--target-name", "qa", *bound), tmp_path)
    assert done.returncode == 1
    lines = error_lines(done)
    assert [line.split(":")[1:3] for line in lines] == [[" qa", " 8 tokens"], [" qa", " 16 tokens"]]
    assert all(line.endswith(said) for line in lines)


def test_a_pause_between_requests(server: QAServer, tmp_path: Path) -> None:
    options = ("--headless", "--results-dir", "results", "--no-overhead", "--pause", "0.05")
    done = run(table(server.url, *options), tmp_path)
    assert done.returncode == 0, done.stderr
    lines = list(csv.DictReader((tmp_path / "results" / "requests.csv").read_text().splitlines()))
    times = [float(line["at"]) for line in lines]
    assert len(times) == 14
    # The clock that tells when they were due is another than the one that waits.
    assert all(after - before >= 0.045 for before, after in itertools.pairwise(times))


def test_options_come_from_the_environment_too(server: QAServer, tmp_path: Path) -> None:
    variables = environment(
        LOCUST_HEADLESS="1", LOCUST_HOST=server.url, LOADTEST_LENGTHS="9",
        LOADTEST_REQUESTS_PER_LENGTH="2", LOADTEST_WARMUP="0", LOADTEST_TOKEN="secret",
        LOADTEST_HOST_HEADER="qa.example.com", LOADTEST_RESULTS_DIR="results",
        LOADTEST_NO_OVERHEAD="true",
    )  # fmt: skip
    done = run(command(), tmp_path, variables)
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "results" / "summary.json") == {"9 tokens": 2}
    assert {headers["host"] for headers in server.headers} == {"qa.example.com"}
    assert {headers["authorization"] for headers in server.headers} == {"Bearer secret"}
    for path in (tmp_path / "results").iterdir():
        assert "secret" not in path.read_text("utf-8"), path


def test_results_that_cannot_be_written_end_before_the_first_request(
    server: QAServer, tmp_path: Path
) -> None:
    done = run(table(server.url, "--headless", "--results", str(tmp_path)), tmp_path)
    assert done.returncode == 1
    assert "cannot write" in error_lines(done)[0]
    assert server.lengths == []


def test_a_targets_file_that_is_none(tmp_path: Path) -> None:
    done = run(command("--headless", "--targets", "none.yaml"), tmp_path)
    assert done.returncode == 2
    assert error_lines(done) == ["loadtest: cannot read none.yaml: No such file or directory"]


def test_web_ui_outlives_its_tests_and_takes_options(server: QAServer, tmp_path: Path) -> None:
    port = free_port()
    arguments = table(server.url, "--web-host", "127.0.0.1", "--web-port", str(port))
    with started(arguments, tmp_path, stderr=subprocess.STDOUT) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: web_state(url) == "ready")
        page = urllib.request.urlopen(url, timeout=5).read().decode()
        assert "requests_per_length" in page
        assert "results_dir" not in page
        bad = urllib.parse.urlencode({"lengths": "many"}).encode()
        urllib.request.urlopen(f"{url}/swarm", data=bad, timeout=5).close()
        wait_for(lambda: web_state(url) == "stopped")
        assert server.lengths == []
        for form, lengths in (
            ({"lengths": "8,16"}, [8] * 7 + [16] * 7),
            ({"lengths": "8, 12", "requests_per_length": "1"}, [8] * 3 + [12] * 3),
        ):
            # Locust says that it has stopped a little before it takes another test.
            time.sleep(1)
            data = urllib.parse.urlencode(form).encode()
            urllib.request.urlopen(f"{url}/swarm", data=data, timeout=5).close()
            wait_for(lambda lengths=lengths: server.lengths[-len(lengths) :] == lengths)
            wait_for(lambda: web_state(url) == "stopped")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=LIMIT_S)
    assert "loadtest: --lengths: 'many' is not a whole number" in output
    assert process.returncode == 0, "only the first test failed"
    assert table_lengths(output).count("16") == 1
    assert table_lengths(output).count("12") == 1


def test_sigterm_keeps_what_was_measured(server: QAServer, tmp_path: Path) -> None:
    def answer(length: int) -> Answer:
        if length == 16 and PREPARING in server.lengths[:-1]:
            server.released.wait(LIMIT_S)
        return server.right_answer(length)

    server.answer = answer
    results = tmp_path / "result.json"
    arguments = table(server.url, "--headless", "--results", str(results))
    with started(arguments, tmp_path, stderr=subprocess.PIPE) as process:
        wait_for(lambda: server.lengths.count(16) == 2)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "stopped early, after 7 requests" in errors
    assert rows_of(results) == {"8 tokens": 5}


@pytest.mark.parametrize(
    ("scenario", "rows"),
    [
        ("soak", [f"{0.2 * n:g} to {0.2 * (n + 1):g} s" for n in range(10)]),
        ("spike", ["before", "spike", "after"]),
    ],
)
def test_rows_over_time(server: QAServer, tmp_path: Path, scenario: str, rows: list[str]) -> None:
    arguments = command(
        *("--headless", "--host", server.url, "--scenario", scenario, "--rate", "40"),
        *("--duration", "2", "--spike-seconds", "2", "--spike-factor", "5", "--settle", "0.5"),
        *("--results-dir", "results", "--no-overhead"),
    )
    done = run(arguments, tmp_path)
    assert done.returncode == 0, done.stderr
    (target,) = read_result(tmp_path / "results" / "summary.json").targets
    assert [row.name for row in target.rows] == rows
    assert (tmp_path / "results" / "soak.svg").is_file() == (scenario == "soak")
    lines = list(csv.DictReader((tmp_path / "results" / "requests.csv").read_text().splitlines()))
    assert len(lines) == target.requests
    # Lengths are like SQuAD's unless given, and counted right by both sides.
    assert len({line["tokens"] for line in lines}) > 10
    assert all(line["tokens"] == line["tokens_seen"] for line in lines)
    if scenario == "spike":
        before, spike, after = (row.requests for row in target.rows)
        # Poisson: 80 ± 9, 400 ± 20 and 80 ± 9.
        assert abs(before - 80) < 5 * 9
        assert abs(spike - 400) < 5 * 20
        assert abs(after - 80) < 5 * 9


def web_state(url: str) -> str | None:
    """The test's state in the web UI, None while there is none."""
    try:
        with urllib.request.urlopen(f"{url}/stats/requests", timeout=5) as response:
            return str(json.load(response)["state"])
    except OSError:
        return None
