"""What one test measured so far, and the result made of it."""

import dataclasses
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from loadtest.options import Options
from loadtest.phases import SEQUENTIAL, Phase
from loadtest.results.records import Record
from loadtest.results.result import Result, Row, TargetResult
from loadtest.results.stats import Stats, percentile
from loadtest.results.verdict import broken_bounds
from loadtest.targets import Target

KEPT_MESSAGES = 10


class Recording:
    """Collects records, also those of several processes, and makes the tables' rows of them."""

    def __init__(self, options: Options) -> None:
        """Begins a test."""
        self.started = datetime.now(UTC)
        self.overhead: dict[str, Stats] = {}
        self.faults: list[str] = []
        self._options = options
        self._targets: dict[str, _Target] = {}

    def expect(self, targets: Sequence[Target]) -> None:
        """Says what is measured, in the order of the tables."""
        sequential = self._options.scenario == "latency-table"
        self._targets = {target.name: _Target(target, sequential) for target in targets}

    def add(self, record: Record) -> None:
        """One request."""
        target = self._targets[record.target]
        target.requests += 1
        if not record.answered:
            target.outcomes[record.outcome] += 1
            if len(target.failures) < KEPT_MESSAGES:
                target.failures.append(f"{_what(record)}: {record.message}")
        if record.row:
            target.rows[record.row].add(record)
        if record.ended_row and record.answered:
            target.rows[record.ended_row].answers_within += 1

    def note(self, target: str, text: str) -> None:
        """What a reader of the target's figures should know, once."""
        notes = self._targets[target].notes
        if text not in notes:
            notes.append(text)

    def lose(self, target: str, reason: str) -> None:
        """Says that the target answers no more, or never did."""
        self._targets[target].lost = self._targets[target].lost or reason

    def phase_over(self, phase: Phase, seconds: float) -> None:
        """Counts the time of a phase, cut short where it took less than planned."""
        if phase.kind == SEQUENTIAL:
            return
        for segment in phase.segments:
            spent = max(min(segment.seconds, seconds), 0.0)
            seconds -= segment.seconds
            if segment.row and spent:
                for target in phase.targets:
                    self._targets[target].seconds[segment.row] += spent

    def lost(self, target: str) -> bool:
        """Whether the target answers no more."""
        return bool(self._targets[target].lost)

    def rate_of(self, target: str, row: str) -> float:
        """Right answers per second in a row."""
        found = self._targets[target].row(row)
        return found.rate if found else 0.0

    def progress(self, target: str, row: str) -> str:
        """A row's figures so far, in a few words."""
        figures = self._targets[target].row(row)
        if figures is None:
            return "nothing"
        latency = f"mean {figures.client.mean:.2f} ms, " if figures.client else ""
        failed = f", {figures.failed} failed" if figures.failed else ""
        return f"{latency}{figures.requests} requests, {figures.rate:.1f}/s{failed}"

    @property
    def requests(self) -> int:
        """All requests so far."""
        return sum(target.requests for target in self._targets.values())

    def result(self) -> Result:
        """Everything so far, judged."""
        options = dataclasses.asdict(self._options)
        # Not for a file that is passed around.
        del options["token"]
        result = Result(
            scenario=self._options.scenario,
            started=self.started.isoformat(timespec="seconds"),
            options=options,
            overhead=dict(self.overhead),
            faults=list(self.faults),
            broken=[],
            targets=[target.result() for target in self._targets.values()],
        )
        return dataclasses.replace(result, broken=broken_bounds(result, self._options))


class _Target:
    """One target's part of the recording."""

    def __init__(self, target: Target, sequential: bool) -> None:
        self.requests = 0
        self.outcomes: Counter[str] = Counter()
        self.lost = ""
        self.notes = [target.note] if target.note else []
        self.failures: list[str] = []
        self.rows: dict[str, _Row] = defaultdict(_Row)
        self.seconds: dict[str, float] = defaultdict(float)
        self._target = target
        self._sequential = sequential

    def row(self, name: str) -> Row | None:
        if name not in self.rows:
            return None
        return self.rows[name].row(name, None if self._sequential else self.seconds[name])

    def result(self) -> TargetResult:
        return TargetResult(
            name=self._target.name,
            host=self._target.host,
            protocol=self._target.protocol,
            model=self._target.model,
            requests=self.requests,
            outcomes=dict(self.outcomes),
            lost=self.lost,
            notes=list(self.notes),
            failures=list(self.failures),
            rows=[row for name in self.rows if (row := self.row(name))],
        )


class _Row:
    """One row's part: eight bytes per figure, as a soak has many requests."""

    def __init__(self) -> None:
        self.requests = self.failed = self.answers_within = 0
        self.tokens: set[int] = set()
        self.latencies_ms = array("d")
        self.server_ms = array("d")
        self.late_ms = array("d")
        self.stages_ms: dict[str, float] = defaultdict(float)

    def add(self, record: Record) -> None:
        self.requests += 1
        self.tokens.add(record.tokens)
        self.late_ms.append(record.late_ms)
        if not record.answered:
            self.failed += 1
            return
        # Rounded as in the file of all requests, so that its figures are exactly these.
        self.latencies_ms.append(round(record.latency_ms, 4))
        if record.server_ms:
            self.server_ms.append(server_total(record.server_ms))
            for stage, duration_ms in record.server_ms.items():
                self.stages_ms[stage] += duration_ms

    def row(self, name: str, seconds: float | None) -> Row:
        """The figures of so many seconds; of None where the requests fill no time but their own."""
        sequential = seconds is None
        seconds = sum(self.latencies_ms) / 1e3 if seconds is None else seconds
        answers = len(self.latencies_ms) if sequential else self.answers_within
        return Row(
            name=name,
            tokens=next(iter(self.tokens)) if len(self.tokens) == 1 and sequential else None,
            requests=self.requests,
            failed=self.failed,
            seconds=round(seconds, 4),
            rate=round(answers / seconds, 4) if seconds else 0.0,
            client=Stats.of(self.latencies_ms),
            server=Stats.of(self.server_ms),
            stages_ms={
                stage: round(total / len(self.server_ms), 4)
                for stage, total in self.stages_ms.items()
            },
            late_p99=round(percentile(sorted(self.late_ms), 99), 4) if self.late_ms else None,
        )


def server_total(stages_ms: Mapping[str, float]) -> float:
    """The server's own time of one request: its `total`, else the sum of its stages."""
    return stages_ms.get("total", sum(stages_ms.values()))


def _what(record: Record) -> str:
    return f"{record.tokens} tokens" if record.tokens else record.row or "warm-up"
