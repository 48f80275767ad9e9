"""`python -m loadtest local` as a whole, with whatever peers are installed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.local.deployments import NAMES
from loadtest.results.result import read_result
from tests.conftest import ROOT
from tests.loadtest.qa_server import environment, wait_for

LIMIT_S = 400


def local(model: Path, baseline: Path, folder: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "loadtest", "local", "--model", str(model)]
    command += ["--baseline", str(baseline), "--work-dir", str(folder / "work")]
    return [*command, "--results-dir", str(folder / "results"), *options]


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_everything_is_compared_and_stopped(fp32: Path, checkpoint: Path, tmp_path: Path) -> None:
    few = ("--lengths", "8,40", "--requests-per-length", "2", "--warmup", "1")
    done = subprocess.run(
        local(fp32, checkpoint, tmp_path, *few), cwd=ROOT, env=environment(),
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = read_result(tmp_path / "results" / "summary.json")
    compared = [target.name.partition(" (")[0] for target in result.targets]
    left_out = json.loads((tmp_path / "results" / "deployments.json").read_text())["left_out"]
    assert sorted([*compared, *left_out]) == sorted(NAMES)
    assert {"baseline", "optimized", "io-binding"} <= set(compared)
    assert compared[0] == "baseline"
    for target in result.targets:
        assert [(row.tokens, row.requests, row.failed) for row in target.rows] == [
            (8, 2, 0), (40, 2, 0),
        ]  # fmt: skip
        if target.name.startswith("triton"):
            assert target.name == "triton (python backend)"
            assert "backend python" in target.notes[0]
    # A peer that is installed must start.
    assert all("it is not installed" in why or "make triton" in why for why in left_out.values())
    report = (tmp_path / "results" / "report.md").read_text("utf-8")
    assert "## What the client itself costs" in report
    assert all(f"- {name}: {why}" in report for name, why in left_out.items())
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_is_ended_early(
    fp32: Path, checkpoint: Path, tmp_path: Path, number: signal.Signals
) -> None:
    options = ("--deployments", "io-binding", "--requests-per-length", "100000", "--no-overhead")
    requests = tmp_path / "results" / "requests.csv"
    with subprocess.Popen(
        local(fp32, checkpoint, tmp_path, *options), cwd=ROOT, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for(lambda: requests.is_file() and requests.read_text().count("\n") > 20)
        process.send_signal(number)
        _, errors = process.communicate(timeout=LIMIT_S)
    wait_for(lambda: processes_of(tmp_path) == [])
    if number == signal.SIGTERM:
        assert process.returncode == 143
        assert "stopped early" in errors
        assert read_result(tmp_path / "results" / "summary.json").targets[0].rows


def test_its_time_is_bounded(fp32: Path, checkpoint: Path, tmp_path: Path) -> None:
    options = ("--deployments", "io-binding", "--requests-per-length", "100000", "--no-overhead")
    done = subprocess.run(
        local(fp32, checkpoint, tmp_path, *options, "--max-minutes", "0.5"), cwd=ROOT,
        env=environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "loadtest: the time is over before all was measured" in done.stderr
    assert processes_of(tmp_path) == []
