"""Whole Locust runs, each a process of its own, against a small V2 server on the loopback."""

from __future__ import annotations

import csv
import itertools
import json
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from loadtest.results.result import Result, read_result
from tests.loadtest.qa_server import (
    LIMIT_S,
    ROOT,
    Answer,
    QAServer,
    command,
    environment,
    error_lines,
    free_port,
    run,
    started,
    table,
    wait_for,
)

# The last look at the server asks for the longest text; all before is to find one-token words.
PREPARING = 16


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


def distributed(server: QAServer, folder: Path, *options: str) -> tuple[str, Result]:
    """One master and two workers, each a process; what the master said, and the result."""
    port = str(free_port())
    results = folder / "result.json"
    master = (
        *("--headless", "--master", "--master-bind-host", "127.0.0.1"),
        *("--master-bind-port", port, "--expect-workers", "2", "--results", str(results)),
    )
    worker = command("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    with (
        started(
            command("--host", server.url, *master, *options), folder, stderr=subprocess.PIPE
        ) as m,
        started(worker, folder, stderr=subprocess.STDOUT) as first,
        started(worker, folder, stderr=subprocess.STDOUT) as second,
    ):
        output, errors = m.communicate(timeout=LIMIT_S)
        said = [process.communicate(timeout=LIMIT_S)[0] for process in (first, second)]
    assert m.returncode == 0, errors
    assert [first.returncode, second.returncode] == [0, 0], said
    assert "Traceback" not in "".join([errors, *said])
    return output, read_result(results)


def test_distributed_run_has_the_same_table(server: QAServer, tmp_path: Path) -> None:
    options = ("--lengths", "8,16", "--requests-per-length", "5", "--warmup", "2")
    output, result = distributed(server, tmp_path, *options)
    assert table_lengths(output) == ["8", "16"]
    assert [(row.name, row.requests) for row in result.targets[0].rows] == [
        ("8 tokens", 5), ("16 tokens", 5),
    ]  # fmt: skip


def test_distributed_load_is_merged(server: QAServer, tmp_path: Path) -> None:
    options = (
        *("--scenario", "throughput", "--lengths", "8,16", "--step-seconds", "1"),
        *("--settle", "0.2", "--max-users", "2"),
    )
    _, result = distributed(server, tmp_path, *options)
    (target,) = result.targets
    assert [row.name for row in target.rows] == ["1 user", "2 users"]
    # Every request that the workers sent is in the master's result.
    sent = len(server.lengths) - 2 * probes_of_one(server)
    assert target.requests == sent
    assert all(row.requests > 0 and row.client for row in target.rows)


def test_lost_worker_ends_the_test_and_keeps_what_was_measured(
    server: QAServer, tmp_path: Path
) -> None:
    port = str(free_port())
    leading = command(
        *("--headless", "--host", server.url, "--master", "--master-bind-host", "127.0.0.1"),
        *("--master-bind-port", port, "--expect-workers", "2", "--results", "result.json"),
        *("--scenario", "mixed", "--duration", "300", "--settle", "0", "-u", "2"),
    )
    worker = command("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    with (
        started(leading, tmp_path, stderr=subprocess.PIPE) as master,
        started(worker, tmp_path, stderr=subprocess.STDOUT) as first,
        started(worker, tmp_path, stderr=subprocess.STDOUT) as second,
    ):
        wait_for(lambda: len(server.lengths) > 500)
        first.kill()
        _, errors = master.communicate(timeout=LIMIT_S)
        second.communicate(timeout=LIMIT_S)
    assert master.returncode == 1
    assert "loadtest: 1 of 2 workers were lost" in errors
    (target,) = read_result(tmp_path / "result.json").targets
    (row,) = target.rows
    assert row.requests > 100
    assert 0 < row.seconds < 300
    assert row.rate > 0


def probes_of_one(server: QAServer) -> int:
    """The requests with which one process looks at the server first."""
    from loadtest.scenarios.texts import calibrated

    counted = []

    def probe(prompt: object) -> int:
        counted.append(prompt)
        return len(f"{prompt.question} {prompt.context}".split()) + 3  # type: ignore[attr-defined]

    calibrated(probe)
    return len(counted) + 1


def web_state(url: str) -> str | None:
    """The test's state in the web UI, None while there is none."""
    try:
        with urllib.request.urlopen(f"{url}/stats/requests", timeout=5) as response:
            return str(json.load(response)["state"])
    except OSError:
        return None
