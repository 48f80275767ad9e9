"""The result file: its schema, and reading and writing it."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1


class ResultError(Exception):
    """A result file that cannot be read or written; the message is one line for the user."""


@dataclass(frozen=True)
class Row:
    """The figures of one sequence length; times in milliseconds, None where nothing was measured.

    `requests` counts the measured requests that were answered rightly, one latency each;
    `failures` counts the others, warm-up included. `server_ms` has the mean per stage of the
    Server-Timing header.
    """

    sequence_length: int
    requests: int
    failures: int
    mean_ms: float | None
    std_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    server_ms: dict[str, float]
    latencies_ms: list[float]


@dataclass(frozen=True)
class Result:
    """One run against one target; `started` is ISO 8601 in UTC, `failures` the first messages."""

    target: str
    host: str
    model: str
    started: str
    requests_per_length: int
    warmup: int
    seed: int
    rows: list[Row]
    failures: list[str]

    def row(self, sequence_length: int) -> Row | None:
        """The row of a sequence length, or None where it was not measured."""
        return next((row for row in self.rows if row.sequence_length == sequence_length), None)


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
        return _result(document)
    except KeyError as error:
        raise ResultError(f"{path} is not a whole result: {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise ResultError(f"{path} is not a whole result: {error}") from error


def _result(document: dict[str, Any]) -> Result:
    return Result(
        target=str(document["target"]),
        host=str(document["host"]),
        model=str(document["model"]),
        started=str(document["started"]),
        requests_per_length=int(document["requests_per_length"]),
        warmup=int(document["warmup"]),
        seed=int(document["seed"]),
        rows=[_row(row) for row in document["rows"]],
        failures=[str(message) for message in document["failures"]],
    )


def _row(row: dict[str, Any]) -> Row:
    def figure(name: str) -> float | None:
        return None if row[name] is None else float(row[name])

    return Row(
        sequence_length=int(row["sequence_length"]),
        requests=int(row["requests"]),
        failures=int(row["failures"]),
        mean_ms=figure("mean_ms"),
        std_ms=figure("std_ms"),
        p50_ms=figure("p50_ms"),
        p99_ms=figure("p99_ms"),
        server_ms={str(stage): float(mean) for stage, mean in dict(row["server_ms"]).items()},
        latencies_ms=[float(latency) for latency in row["latencies_ms"]],
    )
