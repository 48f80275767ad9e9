"""The result of a test: its schema, and reading and writing it."""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest.errors import ResultError
from loadtest.results.stats import Stats

SCHEMA = 2


@dataclass(frozen=True)
class Row:
    """The figures of one row of a target's table; times in milliseconds unless said otherwise.

    Attributes:
        name: What was asked: "128 tokens", "8 users", "20/s", "spike", a part of a soak.
        tokens: The sequence length, None where lengths are mixed.
        requests: Requests that were due in this row's time.
        failed: Those of them that were not answered rightly.
        seconds: The row's time; of sequential requests, the time spent waiting for answers.
        rate: Right answers that came in this time, per second.
        client: Latencies at the client, of the right answers.
        server: Sums of the stages that the server told of.
        stages_ms: Mean of each of these stages.
        late_p99: p99 of the time from when requests were due to when they were sent.
    """

    name: str
    tokens: int | None
    requests: int
    failed: int
    seconds: float
    rate: float
    client: Stats | None
    server: Stats | None
    stages_ms: dict[str, float]
    late_p99: float | None


@dataclass(frozen=True)
class TargetResult:
    """What was measured of one target.

    Attributes:
        requests: All requests, those in no row included.
        outcomes: How many ended how, other than with the right answer.
        lost: Why it was given up, "" where it was not.
        notes: What a reader of the figures should know.
        failures: The first messages of failed requests.
    """

    name: str
    host: str
    protocol: str
    model: str
    requests: int
    outcomes: dict[str, int]
    lost: str
    notes: list[str]
    failures: list[str]
    rows: list[Row]

    @property
    def failed(self) -> int:
        """Requests that were not answered rightly."""
        return sum(self.outcomes.values())

    def row(self, name: str) -> Row | None:
        """The row of that name."""
        return next((row for row in self.rows if row.name == name), None)


@dataclass(frozen=True)
class Result:
    """One test; `started` is ISO 8601 in UTC, `overhead` the client's own latency by protocol.

    `faults` says what went wrong with the test itself, `broken` which bounds were not kept.
    """

    scenario: str
    started: str
    options: dict[str, Any]
    overhead: dict[str, Stats]
    faults: list[str]
    broken: list[str]
    targets: list[TargetResult] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether the exit code is 1."""
        return bool(self.faults or self.broken)


def write_result(path: Path, result: Result) -> None:
    """Write the result file atomically; raises ResultError."""
    document = {"schema": SCHEMA, **dataclasses.asdict(result)}
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file that is either whole or not there, making its folders; raises ResultError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """Make the file's folders and try to write there; raises ResultError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    if path.is_dir():
        raise ResultError(f"cannot write {path}: it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.touch()
        beside.unlink()
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror}") from error


def read_result(path: Path) -> Result:
    """Read and check a result file; raises ResultError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ResultError(f"{path} is not JSON: {error}") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise ResultError(f"{path} is not a result of schema {SCHEMA} (its schema: {schema})")
    try:
        del document["schema"]
        targets = [_target(target) for target in document["targets"]]
        overhead = {str(name): _stats(stats) for name, stats in document["overhead"].items()}
        return Result(**{**document, "targets": targets, "overhead": overhead})
    except KeyError as error:
        raise ResultError(f"{path} is not a whole result: {error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ResultError(f"{path} is not a whole result: {error}") from error


def _target(document: dict[str, Any]) -> TargetResult:
    return TargetResult(**{**document, "rows": [_row(row) for row in document["rows"]]})


def _row(document: dict[str, Any]) -> Row:
    client, server = _stats(document["client"]), _stats(document["server"])
    return Row(**{**document, "client": client, "server": server})


def _stats(document: dict[str, Any] | None) -> Stats | None:
    return None if document is None else Stats(**document)
