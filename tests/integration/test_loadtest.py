"""The load test against the real server, over every protocol, several targets in one go."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.servers import Server, running
from loadtest.local.servers import HOST
from loadtest.results.result import read_result
from loadtest.scenarios.overhead import measure_overhead
from tests.conftest import FAKE_SESSION, ROOT
from tests.loadtest.qa_server import environment

LIMIT_S = 120
PROTOCOLS = ("v2", "v2-binary", "v1", "grpc")


@pytest.fixture(scope="module")
def predictor(fake_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A predictor whose windows are 64 tokens long."""
    logs = tmp_path_factory.mktemp("logs")
    settings = {"qa": {"session": FAKE_SESSION}}
    with running({"qa": fake_artifact}, settings, logs, grpc=True) as (server,):
        yield server


@pytest.fixture
def targets(predictor: Server, tmp_path: Path) -> Path:
    """A target for each protocol, and one that is not there."""
    tokenizer = ROOT / "demo" / "checkpoint" / "baseline" / "tokenizer.json"
    lines = ["targets:"]
    for protocol in PROTOCOLS:
        host = f"grpc://{HOST}:{predictor.grpc_port}" if protocol == "grpc" else predictor.url
        lines.append(f"  - {{name: {protocol}, protocol: {protocol}, host: '{host}'}}")
    lines.append(f"  - {{name: gone, host: 'http://{HOST}:1', tokenizer: '{tokenizer}'}}")
    path = tmp_path / "targets.yaml"
    path.write_text("\n".join(lines).replace("name: v1,", f"name: v1, tokenizer: '{tokenizer}',"))
    return path


def compare(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command as a user has it, started where its results shall be."""
    return subprocess.run(
        [sys.executable, "-m", "loadtest", "compare", *options],
        cwd=folder,
        env=environment(PYTHONPATH=os.pathsep.join([str(ROOT)])),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_compare(targets: Path, tmp_path: Path) -> None:
    done = compare(
        tmp_path,
        *("--targets", str(targets), "--target-name", ",".join(PROTOCOLS)),
        *("--lengths", "8,64", "--requests-per-length", "4", "--warmup", "1"),
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "results").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "latency.svg", "report.md", "requests.csv", "summary.json",
    ]  # fmt: skip
    result = read_result(folder / "summary.json")
    assert [target.name for target in result.targets] == list(PROTOCOLS)
    assert set(result.overhead) == set(PROTOCOLS)
    for target in result.targets:
        assert [(row.name, row.requests, row.failed) for row in target.rows] == [
            ("8 tokens", 4, 0), ("64 tokens", 4, 0),
        ]  # fmt: skip
        for row in target.rows:
            # Of the one request, what the server says that it did is no longer than the whole.
            assert row.client
            assert row.server
            assert row.server.mean < row.client.mean
            assert {"tokenize", "queue", "run", "extract"} <= set(row.stages_ms)
    assert [len(target.notes) for target in result.targets] == [0, 0, 1, 0]

    lines = list(csv.DictReader((folder / "requests.csv").read_text("utf-8").splitlines()))
    assert Counter(line["target"] for line in lines) == dict.fromkeys(PROTOCOLS, 10)
    # They take turns: each four requests in a row are of all four targets.
    for start in range(0, len(lines), 4):
        assert {line["target"] for line in lines[start : start + 4]} == set(PROTOCOLS)
    assert all(line["tokens_seen"] == line["tokens"] for line in lines if line["target"] != "v1")


def test_targets_that_are_gone_or_too_short_do_not_keep_others_from_being_measured(
    targets: Path, tmp_path: Path
) -> None:
    done = compare(
        tmp_path,
        *("--targets", str(targets), "--target-name", "grpc,gone", "--scenario", "throughput"),
        *("--step-seconds", "1", "--settle", "0.2", "--max-users", "2", "--lengths", "16,64"),
        *("--results-dir", "out", "--no-overhead", "--processes", "2"),
    )
    assert done.returncode == 1
    assert "loadtest: gone: not measured: no answer from http://127.0.0.1:1" in done.stderr
    grpc, gone = read_result(tmp_path / "out" / "summary.json").targets
    assert gone.rows == []
    assert [row.name for row in grpc.rows] == ["1 user", "2 users"]
    assert grpc.failed == 0

    done = compare(tmp_path, "--targets", str(targets), "--lengths", "64,65,128", "--no-overhead")
    assert done.returncode == 1
    for name in ("v2", "v2-binary", "grpc"):
        words = "not measured: the model takes 64 tokens at most, not 65, 128"
        assert f"loadtest: {name}: {words}" in done.stderr


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_client_s_own_cost_is_measured(protocol: str) -> None:
    stats = measure_overhead(protocol)
    assert 0 < stats.p50 <= stats.p99
