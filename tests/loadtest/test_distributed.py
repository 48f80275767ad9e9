"""A master and its workers, each a process of its own, measure as one does."""

from __future__ import annotations

import subprocess
from pathlib import Path

from loadtest.results.result import Result, read_result
from tests.loadtest.qa_server import (
    LIMIT_S,
    QAServer,
    command,
    free_port,
    started,
    table_lengths,
    wait_for,
)


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


def probes_of_one(server: QAServer) -> int:
    """The requests with which one process looks at the server first."""
    from loadtest.scenarios.texts import calibrated

    counted = []

    def probe(prompt: object) -> int:
        counted.append(prompt)
        return len(f"{prompt.question} {prompt.context}".split()) + 3  # type: ignore[attr-defined]

    calibrated(probe)
    return len(counted) + 1


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
