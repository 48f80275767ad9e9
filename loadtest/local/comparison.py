"""`python -m loadtest local`: every deployment as local processes, compared, and stopped."""

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from loadtest.errors import LoadTestError, OptionError
from loadtest.local import artifacts
from loadtest.local.deployments import NAMES, Deployment, LeftOut, deployments
from loadtest.local.servers import HOST, ROOT, START_SECONDS, Server, ServerError, Servers, running
from loadtest.option_values import positive
from loadtest.results.result import write_text
from loadtest.signals import exit_on_signals

DEPLOYMENTS_FILE, REPORT_FILE = "deployments.json", "report.md"
# What a server's threads do after an answer must not be in the latency of who is asked next.
_PAUSE = ("--pause", "0.02")
_STOP_SECONDS = 60.0


def add_local_options(parser: Any) -> None:
    """Adds the options that are not `compare`'s."""
    group = parser.add_argument_group("Local deployments")
    group.add_argument(
        "--model", type=Path, default=artifacts.MODEL, metavar="<folder>",
        help="Checkpoint to optimize and serve, or an ONNX artifact to serve as it is. Defaults to "
        "demo/checkpoint/pruned.",
    )  # fmt: skip
    group.add_argument(
        "--baseline", type=Path, metavar="<folder>",
        help="Checkpoint or PyTorch artifact that the baseline and the peers serve. Defaults to "
        "--model; for the embedded model to demo/checkpoint/baseline.",
    )  # fmt: skip
    group.add_argument(
        "--deployments", default=",".join(NAMES), type=_names, metavar="<name,name,...>",
        help="Those to compare, the reference first. Defaults to all: %(default)s.",
    )  # fmt: skip
    group.add_argument(
        "--work-dir", type=Path, default=ROOT / "build" / "local", metavar="<folder>",
        help="Where artifacts are kept and found again, and logs are. Defaults to build/local.",
    )  # fmt: skip
    group.add_argument(
        "--start-seconds", type=positive, default=START_SECONDS, metavar="<seconds>",
        help="A server that is not ready after this time does not start. Defaults to "
        f"{START_SECONDS:g}.",
    )  # fmt: skip
    group.add_argument(
        "--max-minutes", type=positive, default=60.0, metavar="<minutes>",
        help="All of it ends after this time, with exit code 1. Defaults to 60.",
    )  # fmt: skip


def run(arguments: Sequence[str]) -> int:
    """Runs the verb on its own options and `compare`'s; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtest local", allow_abbrev=False)
    add_local_options(parser)
    parser.add_argument("--results-dir", type=Path, default=os.environ.get("LOADTEST_RESULTS_DIR"))
    own, others = parser.parse_known_args(arguments)
    exit_on_signals()
    if any(other.split("=")[0] in ("--targets", "--target-name") for other in others):
        parser.error("the targets are its own: --deployments chooses among them")
    deadline = time.monotonic() + 60 * own.max_minutes
    results = Path(own.results_dir or dated_results()).resolve()
    try:
        return _run(own, others, results, deadline)
    except LoadTestError as error:
        _say(str(error))
        return 2 if isinstance(error, OptionError) else 1
    except KeyboardInterrupt:
        _say("interrupted; everything it started is stopped")
        return 130


def dated_results() -> Path:
    """A new folder of results, by its name."""
    return Path("results") / datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")


@dataclass
class _Started:
    """What runs, and what does not."""

    targets: list[dict[str, str]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def _run(own: argparse.Namespace, others: Sequence[str], results: Path, deadline: float) -> int:
    baseline = own.baseline
    if baseline is None and own.model == artifacts.MODEL:
        baseline = artifacts.BASELINE
    made = artifacts.prepared(own.model, baseline, own.work_dir / "artifacts", _say, deadline)
    scratch = own.work_dir.resolve()
    wanted = deployments(made, scratch / "servers", own.deployments)
    started = _Started()
    with running(scratch / "logs", own.start_seconds) as servers:
        for one in wanted:
            if time.monotonic() > deadline:
                raise ServerError("the time is over")
            _start(servers, one, started, str(made.tokenizer))
        names = ", ".join(target["name"] for target in started.targets)
        _say(f"comparing {names}; the results go to {results}")
        text = json.dumps({"targets": started.targets}, indent=2)
        write_text(scratch / "targets.yaml", text + "\n")
        status = _compare(scratch / "targets.yaml", others, results, deadline)
    _say("everything it started is stopped")
    _write(results, started)
    return status


def _start(servers: Servers, one: Deployment | LeftOut, started: _Started, tokenizer: str) -> None:
    """Starts a deployment; of a peer that does not start it is said why."""
    if isinstance(one, Deployment):
        begun = time.monotonic()
        try:
            for server in one.servers:
                servers.start(server)
        except ServerError as error:
            if not one.peer:
                raise
            one = LeftOut(one.name, str(error))
        else:
            seconds = time.monotonic() - begun
            target = {"name": one.name, "host": one.servers[-1].url, "protocol": one.protocol}
            target |= {"tokenizer": tokenizer, "note": one.note}
            if len(one.servers) > 1:
                version, backend = _triton_says(one.servers[0])
                target["name"] += f" ({backend} backend)"
                target["note"] += f" ({version}, backend {backend})"
            started.targets.append(target)
            _say(f"{target['name']} is ready after {seconds:.0f} s: {one.note}")
            return
    started.left_out.append(one)
    _say(f"{one.name} is left out: {one.reason}")


def _triton_says(server: Server) -> tuple[str, str]:
    """Triton's version, and the backend that its model runs on, as it says itself."""
    config = _get(server, "/v2/models/qa/config")
    return f"Triton {_get(server, '/v2')['version']}", str(config["backend"])


def _get(server: Server, path: str) -> Any:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=30)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ServerError(f"{server.name}, {path}: {error}") from error


def _compare(targets: Path, others: Sequence[str], results: Path, deadline: float) -> int:
    """Runs `compare` to its end, or to the deadline, when it writes what it has."""
    command = [sys.executable, "-m", "loadtest", "compare", "--targets", str(targets)]
    command += [] if "LOADTEST_PAUSE" in os.environ else _PAUSE
    command += [*others, "--results-dir", str(results)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # A session of its own: Ctrl-C reaches this process alone, which then stops everything.
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, start_new_session=True
    )
    try:
        return process.wait(max(deadline - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        raise ServerError("the time is over before all was measured") from None
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            process.kill()
            process.wait()


def _write(results: Path, started: _Started) -> None:
    """Adds to the results who was left out, and why."""
    left_out = {one.name: one.reason for one in started.left_out}
    document = {"compared": started.targets, "left_out": left_out}
    write_text(results / DEPLOYMENTS_FILE, json.dumps(document, indent=2) + "\n")
    report = results / REPORT_FILE
    if left_out and report.is_file():
        lines = "".join(f"- {name}: {reason}\n" for name, reason in left_out.items())
        write_text(report, f"{report.read_text('utf-8')}\n## Left out\n\n{lines}")


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(NAMES)}")
    if not names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different names")
    return names


def _say(line: str) -> None:
    sys.stderr.write(f"loadtest: {line}\n")
    sys.stderr.flush()
