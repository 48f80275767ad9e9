"""What one run measured so far, and the figures made of it."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime

from loadtest.options import Options
from loadtest.results import Result, Row

KEPT_MESSAGES = 10


class Recording:
    """Collects latencies and failures of one run; sequence lengths in tokens, times in seconds."""

    def __init__(self, options: Options, host: str) -> None:
        self.failed = 0
        self._options = options
        self._host = host
        self._started = datetime.now(UTC)
        self._latencies_ms: dict[int, list[float]] = defaultdict(list)
        self._stages_ms: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._failures: dict[int, int] = defaultdict(int)
        self._messages: list[str] = []

    def add(self, sequence_length: int, latency_s: float, server_ms: Mapping[str, float]) -> None:
        """One measured request that was answered rightly; `server_ms` as in Server-Timing."""
        # Rounded here, so that the figures are exactly those of the latencies in the file.
        self._latencies_ms[sequence_length].append(round(latency_s * 1e3, 4))
        for stage, duration_ms in server_ms.items():
            self._stages_ms[sequence_length][stage].append(duration_ms)

    def fail(self, message: str, sequence_length: int | None = None) -> None:
        """One failure, of a request where a sequence length is given, else of the whole run."""
        self.failed += 1
        if sequence_length is not None:
            self._failures[sequence_length] += 1
            message = f"seq {sequence_length}: {message}"
        if len(self._messages) < KEPT_MESSAGES:
            self._messages.append(message)

    @property
    def measured(self) -> int:
        """The measured requests that were answered rightly, over all sequence lengths."""
        return sum(map(len, self._latencies_ms.values()))

    def row(self, sequence_length: int) -> Row:
        """The figures of one sequence length so far."""
        latencies_ms = self._latencies_ms.get(sequence_length, [])
        stages_ms = self._stages_ms.get(sequence_length, {})
        measured = bool(latencies_ms)
        return Row(
            sequence_length=sequence_length,
            requests=len(latencies_ms),
            failures=self._failures.get(sequence_length, 0),
            mean_ms=_rounded(statistics.fmean(latencies_ms)) if measured else None,
            std_ms=_rounded(statistics.stdev(latencies_ms)) if len(latencies_ms) > 1 else None,
            p50_ms=_rounded(percentile(latencies_ms, 50)) if measured else None,
            p99_ms=_rounded(percentile(latencies_ms, 99)) if measured else None,
            server_ms={
                stage: _rounded(statistics.fmean(durations))
                for stage, durations in stages_ms.items()
            },
            latencies_ms=list(latencies_ms),
        )

    def result(self) -> Result:
        """Everything recorded so far, the sequence lengths in the order asked for."""
        options = self._options
        return Result(
            target=options.target_name or self._host,
            host=self._host,
            model=options.model_name,
            started=self._started.isoformat(timespec="seconds"),
            requests_per_length=options.requests_per_length,
            warmup=options.warmup,
            seed=options.seed,
            rows=[
                self.row(length)
                for length in options.lengths
                if length in self._latencies_ms or length in self._failures
            ],
            failures=list(self._messages),
        )


def percentile(values: list[float], percent: int) -> float:
    """The percentile by linear interpolation, as numpy's default; `values` is not empty."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 4)
