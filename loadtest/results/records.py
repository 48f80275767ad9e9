"""One request's record, and the file that keeps every one."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.errors import ResultError

ANSWERED = "answered"


@dataclass(frozen=True)
class Record:
    """One request and what came of it.

    Attributes:
        target: The target's name.
        row: The row of the tables that it counts for, "" for none (warm-up).
        ended_row: The row in whose time it was over, "" for none.
        at: When it was due, in seconds since 1970.
        tokens: The sequence length asked for, 0 where that is not known.
        seen: The sequence length that the target returned, 0 where it returned none.
        latency_ms: From when it was due to when the answer was whole.
        late_ms: From when it was due to when it was sent.
        outcome: "answered", or what went wrong in a word or two.
        message: What went wrong.
        size: The answer's size in bytes.
        server_ms: Stage → milliseconds, of Server-Timing.
    """

    target: str
    row: str
    ended_row: str
    at: float
    tokens: int
    seen: int
    latency_ms: float
    late_ms: float
    outcome: str
    message: str
    size: int
    server_ms: dict[str, float]

    @property
    def answered(self) -> bool:
        """Whether it was answered rightly."""
        return self.outcome == ANSWERED

    def values(self) -> list[Any]:
        """Its values as plain ones, for other processes."""
        return list(vars(self).values())


class RecordFile:
    """A CSV file with a line for every request, written as they come."""

    COLUMNS = (
        "at", "target", "row", "tokens", "tokens_seen", "latency_ms", "late_ms", "outcome",
        "answer_bytes", "server_timing", "message",
    )  # fmt: skip

    def __init__(self, path: Path) -> None:
        """Raises ResultError."""
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise ResultError(f"cannot write {path}: {error.strerror}") from error
        self._writer = csv.writer(self._file)
        self._writer.writerow(self.COLUMNS)

    def write(self, records: Iterable[Record]) -> None:
        """Adds lines, which are on the disk at once; raises ResultError."""
        try:
            for r in records:
                timing = ", ".join(f"{stage};dur={ms:g}" for stage, ms in r.server_ms.items())
                line = (f"{r.at:.6f}", r.target, r.row, r.tokens or "", r.seen or "",
                        f"{r.latency_ms:.4f}", f"{r.late_ms:.4f}", r.outcome, r.size, timing,
                        r.message)  # fmt: skip
                self._writer.writerow(line)
            self._file.flush()
        except OSError as error:
            raise ResultError(f"cannot write {self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
